//! A real web server on loopback for as long as it is held: Apache, with a configuration of its own.
//! What it serves is laid out by the caller.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

use crate::command::{wait_until, with_death_signal};

const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// A running server. Dropping it stops it and removes what it served.
#[derive(Debug)]
pub struct Server {
    apache: Child,
    address: SocketAddr,
    dir: TempDir,
}

impl Server {
    /// Starts one with an empty document root.
    pub fn start() -> Result<Self> {
        // Its workers run as nobody: the directory must be reachable for all, which a home directory may not be.
        let dir = tempfile::Builder::new().prefix("airgap-deploy-server-").tempdir_in("/var/tmp")?;
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755))?;
        fs::create_dir(dir.path().join("files"))?;
        let address = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?;
        let configuration = dir.path().join("apache.conf");
        fs::write(&configuration, configure(dir.path(), address))?;
        let path = configuration.display().to_string();
        let mut command = with_death_signal("TERM", &["/usr/sbin/apache2", "-D", "FOREGROUND", "-f", &path])?;
        let said = File::create(dir.path().join("said.log"))?;
        let apache = command.stdout(Stdio::null()).stderr(said).spawn().context("Apache cannot be started")?;
        let mut server = Self { apache, address, dir };
        server.wait_until_it_answers()?;
        Ok(server)
    }

    /// Where files to be served go.
    pub fn files(&self) -> PathBuf {
        self.dir.path().join("files")
    }

    /// The URL of a file.
    pub fn url(&self, name: &str) -> String {
        format!("http://{}/{name}", self.address)
    }

    /// One line for each request so far.
    pub fn requests(&self) -> String {
        self.log("access.log")
    }

    fn wait_until_it_answers(&mut self) -> Result<()> {
        let answers = wait_until(ANSWERS_WITHIN, || {
            if let Some(status) = self.apache.try_wait()? {
                bail!("Apache ended at once ({status}): {}{}", self.log("said.log"), self.log("error.log"));
            }
            Ok(TcpStream::connect(self.address).is_ok())
        })?;
        if !answers {
            bail!("Apache does not answer on {}: {}", self.address, self.log("error.log"));
        }
        Ok(())
    }

    fn log(&self, name: &str) -> String {
        fs::read_to_string(self.dir.path().join(name)).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.apache.id()) {
            let _ = kill(Pid::from_raw(pid), Signal::SIGTERM);
        }
        let _ = self.apache.wait();
    }
}

fn configure(dir: &Path, address: SocketAddr) -> String {
    let dir = dir.display();
    format!(
        "ServerRoot \"/usr/lib/apache2\"\n\
         LoadModule mpm_event_module modules/mod_mpm_event.so\n\
         LoadModule authz_core_module modules/mod_authz_core.so\n\
         ServerName localhost\n\
         Listen {address}\n\
         User nobody\n\
         Group nogroup\n\
         DefaultRuntimeDir \"{dir}\"\n\
         PidFile \"{dir}/pid\"\n\
         ErrorLog \"{dir}/error.log\"\n\
         CustomLog \"{dir}/access.log\" \"%r %>s %B\"\n\
         DocumentRoot \"{dir}/files\"\n\
         <Directory \"{dir}/files\">\n\
         Require all granted\n\
         </Directory>\n"
    )
}
