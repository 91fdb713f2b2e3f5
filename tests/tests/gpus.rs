//! GPUs of a machine in the plan: found below a root by its own sysfs, with what that means for the package.
//! No machine of these tests has one; what Ollama does with it is not tried.

use std::fs;
use std::path::Path;

use anyhow::{Result, ensure};
use e2e::scenario::{Scenario, package_below, sample};

/// A device as sysfs shows it: a link from the bus to where its files are.
fn device(root: &Path, slot: &str, vendor: &str, class: &str) -> Result<()> {
    let files = root.join("sys/devices/pci0000:00").join(slot);
    fs::create_dir_all(&files)?;
    fs::create_dir_all(root.join("sys/bus/pci/devices"))?;
    fs::write(files.join("vendor"), format!("{vendor}\n"))?;
    fs::write(files.join("class"), format!("{class}\n"))?;
    let link = root.join("sys/bus/pci/devices").join(slot);
    Ok(std::os::unix::fs::symlink(format!("../../../devices/pci0000:00/{slot}"), link)?)
}

#[test]
fn the_plan_says_which_gpus_there_are_and_what_they_lack() -> Result<()> {
    let scenario = Scenario::new()?;
    let run = sample::build(&scenario)?;
    let plan = |root: &Path| package_below(&run, root, &["--dry-run"])?.exits(0);
    let facts = |root: &Path| {
        let plan = package_below(&run, root, &["--dry-run", "--json"])?.exits(0)?.json()?;
        Ok::<_, anyhow::Error>(plan["gpus"].clone())
    };
    let root = scenario.target("root")?;
    ensure!(facts(&root)?.is_null() && !plan(&root)?.stdout.contains("GPU"), "a machine nobody can look at");

    // A network card of the same vendor, and the graphics of a server's console.
    device(&root, "0000:00:02.0", "0x1a03", "0x030000")?;
    device(&root, "0000:00:03.0", "0x10de", "0x020000")?;
    ensure!(facts(&root)? == serde_json::json!([]), "{}", facts(&root)?);
    // The sample has libraries for NVIDIA.
    plan(&root)?.says("GPUs of this machine: none")?.says("and this machine has none")?;

    device(&root, "0000:01:00.0", "0x10de", "0x030200")?;
    device(&root, "0000:02:00.0", "0x10DE", "0x030000")?;
    plan(&root)?.says("GPUs of this machine: NVIDIA × 2 (driver not loaded)")?.says("without its driver")?;
    fs::create_dir_all(root.join("proc/driver/nvidia"))?;
    fs::write(root.join("proc/driver/nvidia/version"), "NVRM version\n")?;
    let shown = plan(&root)?.says("NVIDIA × 2 (driver loaded)")?;
    ensure!(!shown.stdout.contains("note: this machine has a GPU"), "{}", shown.stdout);

    device(&root, "0000:03:00.0", "0x1002", "0x120000")?;
    plan(&root)?.says("a GPU of AMD, and the package has no libraries for it (lib/ollama/rocm*)")?;
    let vendors = serde_json::json!([{"vendor": "NVIDIA", "devices": 2, "driver": true},
        {"vendor": "AMD", "devices": 1, "driver": false}]);
    ensure!(facts(&root)? == vendors, "{}", facts(&root)?);
    Ok(())
}
