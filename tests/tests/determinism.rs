//! Same inputs, same bytes: whoever builds, whenever and wherever.
//! What the bytes are is tested in `format.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use e2e::scenario::binaries::shipped;
use e2e::scenario::outcome::run;
use e2e::scenario::tree::digest;
use e2e::scenario::{NOBODY, Scenario, sample};
use e2e::skip::{is_root, without_root};

/// Where a build happens, and as what.
struct Surroundings {
    name: &'static str,
    umask: &'static str,
    variables: &'static [(&'static str, &'static str)],
    unprivileged: bool,
    one_processor: bool,
}

const PLAIN: Surroundings =
    Surroundings { name: "a", umask: "022", variables: &[], unprivileged: false, one_processor: false };
const OTHER: [Surroundings; 3] = [
    Surroundings {
        name: "somewhere/deep down/b",
        umask: "077",
        variables: &[("LANG", "tr_TR.UTF-8"), ("LC_ALL", "tr_TR.UTF-8"), ("TZ", "Asia/Kathmandu"), ("COLUMNS", "20")],
        unprivileged: false,
        one_processor: true,
    },
    Surroundings {
        name: "c",
        umask: "000",
        variables: &[("TZ", "Pacific/Apia")],
        unprivileged: true,
        one_processor: false,
    },
    Surroundings { name: "d", umask: "027", variables: &[("LC_ALL", "C")], unprivileged: false, one_processor: false },
];

fn build(scenario: &Scenario, place: &Surroundings) -> Result<payload::Digest> {
    let here = Scenario::below(&scenario.directory(place.name)?)?;
    sample::write_inputs(&here)?;
    here.write("AirGapDeploy.toml", sample::MANIFEST)?;
    age(&here, place)?;
    // A user without privileges may not be able to reach the directory that this was compiled in.
    let program = here.path("builder-under-test");
    fs::copy(shipped()?, &program)?;
    let mut command = Command::new(if place.one_processor { "taskset" } else { "sh" });
    if place.one_processor {
        command.args(["--cpu-list", "0", "sh"]);
    }
    let script = format!("umask {}; exec \"$@\"", place.umask);
    command.args(["-c", &script, "sh"]).arg(&program).args([
        "--manifest",
        "AirGapDeploy.toml",
        "--output",
        "out/p.run",
    ]);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("HOME", here.directory("home")?);
    command.envs(place.variables.iter().copied()).stdin(Stdio::null());
    here.directory("out")?;
    for directory in ["", "home", "out"] {
        fs::set_permissions(here.path(directory), fs::Permissions::from_mode(0o777))?;
    }
    if place.unprivileged && is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    run(command.current_dir(here.path("")))?.exits(0)?;
    digest(&here.path("out/p.run"))
}

/// Gives all inputs another time for each place.
fn age(scenario: &Scenario, place: &Surroundings) -> Result<()> {
    let seconds = 86_400 * place.name.len() as u64 * 365;
    let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    for name in ["AirGapDeploy.toml", "inputs/notes.txt", "inputs/llama2-7b.gguf", "inputs/ollama/bin/ollama"] {
        fs::File::options().append(true).open(scenario.path(name))?.set_modified(time)?;
    }
    Ok(())
}

#[test]
fn two_builds_are_byte_identical_whatever_surrounds_them() -> Result<()> {
    without_root("builds by two users");
    let scenario = Scenario::new()?;
    for directory in ["somewhere", "somewhere/deep down"] {
        scenario.directory(directory)?;
    }
    let began = SystemTime::now();
    let first = build(&scenario, &PLAIN)?;
    for place in &OTHER {
        assert_eq!(build(&scenario, place)?, first, "built in {}", place.name);
    }
    // At least one build began in another second than the first.
    while began.elapsed()? < Duration::from_secs(1) {
        assert_eq!(build(&scenario, &PLAIN)?, first, "built again");
    }
    assert_eq!(build(&scenario, &PLAIN)?, first, "built later");
    Ok(())
}

#[test]
fn building_again_over_the_older_file_gives_the_same_file() -> Result<()> {
    let scenario = Scenario::new()?.shipped();
    let first = digest(&sample::build(&scenario)?)?;
    // The lock file and the cache of the first build are there now.
    assert_eq!(digest(&scenario.build(sample::MANIFEST)?)?, first);
    let mode = fs::metadata(scenario.path("package.run"))?.permissions().mode() & 0o777;
    assert_eq!(mode, 0o755);
    let left: Vec<_> = fs::read_dir(scenario.path(""))?.flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().starts_with(".airgap-deploy")), "{left:?}");
    Ok(())
}
