//! Packages for the life of an Ollama, packed by the real builder from the real Ollama and real models: first, update,
//! upgrade, one that cannot run. What a machine does with them is in `tests/living.rs`.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::command::{argv, succeed};
use crate::{model, ollama};

const BUILT_WITHIN: Duration = Duration::from_secs(15 * 60);
/// A program that is no Ollama, and ends at once when it is called so.
const BUSYBOX: &str = "/bin/busybox";
const PROGRAM: &str = "ollama";
/// Where an ELF file says for which machine it is, and a number that stands for none.
const ELF_MACHINE: std::ops::Range<usize> = 18..20;
const NO_MACHINE: [u8; 2] = [0xff, 0xfe];

/// Packages on a directory that stands for a USB stick: `first.run` (Ollama with the instruct model), `broken.run` and
/// `upgrade.run` of the same package, and `more.run`, which has one more model; `update.run` (Gemma alone) and `other.run`, its
/// next version, which has another model.
#[derive(Debug)]
pub struct Stick {
    directory: TempDir,
}

impl Stick {
    /// Builds all of them.
    ///
    /// # Errors
    /// A package cannot be built.
    pub fn build(builder: &Path) -> Result<Self> {
        ensure!(builder.exists(), "{} does not exist; build it, or set AIRGAP_DEPLOY_BUILDER", builder.display());
        let directory = tempfile::Builder::new().prefix("airgap-deploy-stick-").tempdir_in("/var/tmp")?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let stick = Self { directory };
        let work = tempfile::Builder::new().prefix("airgap-deploy-builder-").tempdir_in("/var/tmp")?;
        let program = work.path().join(PROGRAM);
        let binary = ollama::provide()?;
        symlink(model::INSTRUCT.provide()?.0, work.path().join("instruct.gguf"))?;
        symlink(model::GEMMA.provide()?.0, work.path().join("gemma.gguf"))?;

        let pack = |name: &str, manifest: String| stick.pack(builder, work.path(), name, &manifest);
        fs::copy(&binary, &program)?;
        pack("first", service("1"))?;
        // Bytes behind its end make another program of it that does the same.
        fs::OpenOptions::new().append(true).open(&program)?.write_all(b"\n")?;
        pack("upgrade", service("3"))?;
        let named = "name = \"more\"\nmodel = \"corp/SmolLM2-More\"\n";
        pack("more", service("4") + &model("more", "instruct.gguf").replace("name = \"more\"\n", named))?;
        fs::copy(BUSYBOX, &program)?;
        pack("broken", service("2"))?;
        pack("update", models("1", "gemma3", "gemma.gguf"))?;
        pack("other", models("2", "smollm2-too", "instruct.gguf"))?;
        stick.misfits()?;
        Ok(stick)
    }

    /// Programs that cannot run on the machine: `foreign` is for another architecture, `lonely` lacks a library, `modern` is
    /// of a glibc that does not exist yet, `readable` may be read, and not be executed.
    fn misfits(&self) -> Result<()> {
        let at = |name: &str| self.path().join(name);
        let mut foreign = fs::read(BUSYBOX)?;
        foreign.splice(ELF_MACHINE, NO_MACHINE);
        fs::write(at("foreign"), foreign)?;
        fs::copy(BUSYBOX, at("readable"))?;
        for (name, mode) in [("foreign", 0o755), ("readable", 0o644)] {
            fs::set_permissions(at(name), fs::Permissions::from_mode(mode))?;
        }
        let work = tempfile::tempdir()?;
        fs::write(work.path().join("library.c"), "void absent(void) {}\n")?;
        fs::write(work.path().join("program.c"), "void absent(void); void _start(void) { absent(); }\n")?;
        fs::write(work.path().join("versions"), "GLIBC_2.99 { absent; };\n")?;
        for (name, library, more) in
            [("lonely", "libabsent.so.1", &[][..]), ("modern", "libc.so.6", &["-Wl,--version-script=versions"])]
        {
            let soname = format!("-Wl,-soname={library}");
            let cc = |arguments: &[&str]| {
                let mut command = argv(&[&["cc", "-nostdlib"], arguments].concat())?;
                succeed(command.current_dir(work.path()), BUILT_WITHIN)
            };
            cc(&[&["-shared", "library.c", "-o", library, &soname], more].concat())?;
            let program = at(name).to_string_lossy().into_owned();
            cc(&["program.c", library, "-o", &program])?;
        }
        Ok(())
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    fn pack(&self, builder: &Path, work: &Path, name: &str, manifest: &str) -> Result<()> {
        fs::write(work.join("m.toml"), manifest)?;
        let run = self.path().join(format!("{name}.run"));
        let mut command = argv(&[&builder.to_string_lossy(), "--manifest", "m.toml", "--update-lock", "--output"])?;
        succeed(command.arg(run).current_dir(work), BUILT_WITHIN)?;
        Ok(())
    }
}

fn head(name: &str, version: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\nversion = \"{version}\"\n\n[install]\nprefix = \"/opt/ollama\"\nuser = \"ollama\"\n\n"
    )
}

fn model(name: &str, file: &str) -> String {
    format!(
        "[[components]]\ntype = \"model-file\"\nname = \"{name}\"\nsource = {{ type = \"file\", path = \"{file}\" }}\n\
         install_path = \"models/{name}.gguf\"\n\n"
    )
}

fn service(version: &str) -> String {
    let unit = "[Unit]\nDescription=Ollama LLM Server\n\n[Service]\nUser=ollama\nWorkingDirectory=/opt/ollama\n\
                ExecStart=/opt/ollama/bin/ollama serve\nRestart=on-failure\n\n[Install]\nWantedBy=multi-user.target\n";
    format!(
        "{}[[components]]\ntype = \"external-binary\"\nname = \"ollama\"\nsource = {{ type = \"file\", path = \"{PROGRAM}\" }}\n\
         install_path = \"bin/ollama\"\n\n{}[[components]]\ntype = \"config-file\"\nname = \"ollama.service\"\n\
         content = \"\"\"\n{unit}\"\"\"\ninstall_path = \"/etc/systemd/system/ollama.service\"\n",
        head("ollama-deploy", version),
        model("smollm2", "instruct.gguf")
    )
}

fn models(version: &str, name: &str, file: &str) -> String {
    head("ollama-models", version) + &model(name, file)
}
