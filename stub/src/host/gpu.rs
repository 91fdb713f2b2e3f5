//! GPUs of a machine that Ollama computes on: read from sysfs and procfs, below the root that is installed to.
//! What follows for a package is decided in `plan/gpus.rs`.

use payload::{AccountName, RelPath};

use super::account::{self, AccountError};
use super::root::{Found, FsError, Root};

/// Whose GPUs Ollama has libraries for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Vendor {
    Nvidia,
    Amd,
}

/// The GPUs of one vendor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gpus {
    pub vendor: Vendor,
    pub devices: usize,
    /// Whether the kernel's driver for computing is there.
    pub driver: bool,
}

/// As distributions and Ollama's own script have them.
const GROUPS: [&str; 2] = ["render", "video"];
const DEVICES: &str = "sys/bus/pci/devices";
/// Files of sysfs with one number.
const LIMIT: u64 = 4096;

impl Vendor {
    pub const ALL: [Self; 2] = [Self::Nvidia, Self::Amd];

    pub fn name(self) -> &'static str {
        match self {
            Self::Nvidia => "NVIDIA",
            Self::Amd => "AMD",
        }
    }

    /// Its number on the PCI bus.
    fn number(self) -> &'static str {
        match self {
            Self::Nvidia => "0x10de",
            Self::Amd => "0x1002",
        }
    }

    /// What is there when its driver is loaded.
    pub fn sign_of_driver(self) -> &'static str {
        match self {
            Self::Nvidia => "proc/driver/nvidia/version",
            Self::Amd => "dev/kfd",
        }
    }
}

/// The GPUs of the machine, by vendor; `None` when nobody can say, because there is no PCI bus to look at.
///
/// # Errors
/// The bus cannot be listed.
pub fn look(root: &Root) -> Result<Option<Vec<Gpus>>, FsError> {
    let Ok(bus) = DEVICES.parse::<RelPath>() else { return Ok(None) };
    if !matches!(root.look_directory(&bus)?, Found::Directory(_)) {
        return Ok(None);
    }
    let mut vendors = Vec::new();
    for device in root.names(&bus)?.iter().filter_map(|name| bus.join(name).ok()) {
        let number = |name: &str| device.join(name).ok().and_then(|path| word(root, &path)).unwrap_or_default();
        if computes(&number("class")) {
            vendors.push(number("vendor"));
        }
    }
    let mut found = Vec::new();
    for vendor in Vendor::ALL {
        let devices = vendors.iter().filter(|number| *number == vendor.number()).count();
        let sign = vendor.sign_of_driver().parse::<RelPath>().ok();
        let driver = sign.is_some_and(|path| root.look(&path).is_ok_and(|found| found != Found::Absent));
        if devices > 0 {
            found.push(Gpus { vendor, devices, driver });
        }
    }
    Ok(Some(found))
}

/// The groups of this machine whose members may open the devices of GPUs.
///
/// # Errors
/// Nobody can say.
pub fn groups(root: &Root) -> Result<Vec<AccountName>, AccountError> {
    let mut groups = Vec::new();
    for name in GROUPS.iter().filter_map(|name| name.parse::<AccountName>().ok()) {
        if account::group(root, &name)?.is_some() {
            groups.push(name);
        }
    }
    Ok(groups)
}

/// A device that cannot be read tells nothing.
fn word(root: &Root, path: &RelPath) -> Option<String> {
    let bytes = root.read(path, LIMIT).ok().flatten()?;
    Some(String::from_utf8_lossy(&bytes).trim().to_lowercase())
}

/// Display controllers, and accelerators without a display.
fn computes(class: &str) -> bool {
    class.starts_with("0x03") || class.starts_with("0x12")
}
