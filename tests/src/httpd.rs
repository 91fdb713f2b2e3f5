//! A small service in several versions, packed by the real builder: busybox as a web server on loopback. It runs on every
//! release of Debian. What machines do with it is in `tests/matrix.rs`.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use tempfile::TempDir;

use crate::command::{argv, succeed};
use crate::crash::program;

const BUSYBOX: &str = "/bin/busybox";
/// Any program that needs a C library as new as this host's.
const DYNAMIC: &str = "/usr/bin/true";
/// Where the service listens.
pub const URL: &str = "http://127.0.0.1:8080/";
const BUILT_WITHIN: Duration = Duration::from_secs(5 * 60);

/// Packages on a directory that stands for a USB stick: `one.run`, `two.run`, `broken.run` (its service ends at once),
/// `half.run` (the first of its two services ends at once), `dynamic.run` (a program of this host, for its C library), and `stub`, the installer with failpoints.
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
        let directory = tempfile::Builder::new().prefix("airgap-deploy-stick-").tempdir_in("/var/tmp")?;
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755))?;
        let stick = Self { directory };
        let busybox = fs::read(BUSYBOX)?;
        let work = tempfile::tempdir()?;
        let versions = [("one", 0, "one"), ("two", 1, "two"), ("broken", 2, "broken"), ("half", 3, "half")];
        for (name, extra, page) in versions {
            // Bytes behind its end make another program of it that does the same.
            let program = [busybox.as_slice(), &vec![0; extra]].concat();
            fs::write(work.path().join("httpd"), program)?;
            stick.pack(builder, work.path(), name, &service(page, name))?;
        }
        fs::copy(DYNAMIC, work.path().join("httpd"))?;
        stick.pack(builder, work.path(), "dynamic", &service("dynamic", "dynamic"))?;
        fs::copy(program::stub(), stick.path().join("stub"))?;
        Ok(stick)
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().to_owned()
    }

    fn pack(&self, builder: &Path, work: &Path, name: &str, manifest: &str) -> Result<()> {
        ensure!(builder.exists(), "{} does not exist; build it, or set AIRGAP_DEPLOY_BUILDER", builder.display());
        fs::write(work.join("demo.toml"), manifest)?;
        let run = self.path().join(format!("{name}.run"));
        let mut command = argv(&[&builder.to_string_lossy(), "--manifest", "demo.toml", "--update-lock", "--output"])?;
        succeed(command.arg(run).current_dir(work), BUILT_WITHIN)?;
        Ok(())
    }
}

/// The manifest of a version.
pub fn service(page: &str, version: &str) -> String {
    let directory = if matches!(version, "broken" | "half") { "/nonexistent" } else { "/opt/demo/www" };
    let more = if matches!(version, "one" | "half") { SECOND_UNIT } else { "" };
    format!(
        r#"
[package]
name = "demo"
version = "{version}"
description = "A web server on loopback"

[install]
prefix = "/opt/demo"
user = "demo"
group = "demo"

[[components]]
type = "external-binary"
name = "httpd"
source = {{ type = "file", path = "httpd" }}
install_path = "bin/httpd"

[[components]]
type = "config-file"
name = "page"
content = "{page}\n"
install_path = "www/index.html"

[[components]]
type = "config-file"
name = "demo.service"
install_path = "/etc/systemd/system/demo.service"
content = """
[Unit]
Description=A web server on loopback, version {version}

[Service]
User=demo
ExecStart=/opt/demo/bin/httpd -f -p 127.0.0.1:8080 -h {directory}
Restart=on-failure

[Install]
WantedBy=multi-user.target
"""
{more}"#
    )
}

/// A second unit and a file that the version `two` does without.
const SECOND_UNIT: &str = r#"
[[components]]
type = "config-file"
name = "old page"
content = "old\n"
install_path = "www/old.html"

[[components]]
type = "config-file"
name = "demo-old.service"
install_path = "/etc/systemd/system/demo-old.service"
content = """
[Service]
User=demo
ExecStart=/opt/demo/bin/httpd -f -p 127.0.0.1:8081 -h /opt/demo/www

[Install]
WantedBy=multi-user.target
"""
"#;
