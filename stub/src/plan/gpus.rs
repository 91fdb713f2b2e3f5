//! What the GPUs of a machine and the libraries of a package have to do with each other, in sentences for the plan.
//! How GPUs are found is in `host/gpu.rs`.

use payload::RelPath;
use payload::index::{Index, Lookup, Role};

use crate::host::gpu::{Gpus, Vendor};

/// Whether the package brings an Ollama of its own.
pub fn brings_ollama(index: &Index) -> bool {
    let is_ollama = |path: &RelPath| path.name() == "ollama" || path.as_str().contains("/lib/ollama/");
    index.units.iter().any(|unit| unit.drop_in.is_some())
        || index.files.iter().any(|file| file.role == Role::Program && is_ollama(&file.path))
}

/// `NVIDIA × 2 (driver loaded)`
pub fn describe(gpus: &[Gpus]) -> String {
    let one = |gpus: &Gpus| {
        let count = if gpus.devices > 1 { format!(" × {}", gpus.devices) } else { String::new() };
        let driver = if gpus.driver { "driver loaded" } else { "driver not loaded" };
        format!("{}{count} ({driver})", gpus.vendor.name())
    };
    if gpus.is_empty() { "none".to_owned() } else { gpus.iter().map(one).collect::<Vec<_>>().join(", ") }
}

/// What does not fit together, or needs something more.
pub fn notes(index: &Index, gpus: &[Gpus]) -> Vec<String> {
    if !brings_ollama(index) {
        return Vec::new();
    }
    Vendor::ALL
        .into_iter()
        .filter_map(|vendor| note(index, vendor, gpus.iter().find(|gpus| gpus.vendor == vendor)))
        .collect()
}

fn note(index: &Index, vendor: Vendor, found: Option<&Gpus>) -> Option<String> {
    let (name, directory) = (vendor.name(), directory(vendor));
    match (libraries(index, vendor), found) {
        (0, None) => None,
        (0, Some(_)) => Some(format!(
            "this machine has a GPU of {name}, and the package has no libraries for it (lib/ollama/{directory}): Ollama will \
             compute on the CPU; {}",
            remedy(vendor)
        )),
        (size, None) => Some(format!(
            "the package has {} of libraries for GPUs of {name} (lib/ollama/{directory}), and this machine has none: \
             `exclude = [\"lib/ollama/{directory}\"]` in the manifest leaves them out",
            payload::size(size)
        )),
        (_, Some(gpus)) if !gpus.driver => Some(format!(
            "this machine has a GPU of {name} without its driver (/{}): Ollama will compute on the CPU until it is loaded",
            vendor.sign_of_driver()
        )),
        (_, Some(_)) => None,
    }
}

fn directory(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Nvidia => "cuda_*",
        Vendor::Amd => "rocm*",
    }
}

fn remedy(vendor: Vendor) -> &'static str {
    match vendor {
        Vendor::Nvidia => "build it without `exclude` of them",
        Vendor::Amd => "add the asset ollama-linux-amd64-rocm to it",
    }
}

/// Bytes of the package's libraries for GPUs of a vendor.
fn libraries(index: &Index, vendor: Vendor) -> u64 {
    let prefix = format!("/lib/ollama/{}", directory(vendor).trim_end_matches('*'));
    let files = index.files.iter().filter(|file| file.path.to_string().contains(&prefix));
    let shipped = Lookup::of(index);
    files.map(|file| shipped.size(file.blob)).sum()
}
