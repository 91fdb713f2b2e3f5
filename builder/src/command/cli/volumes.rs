//! What is typed about volumes.
//! What it leads to is in `command/volumes.rs`.

use std::path::PathBuf;

use clap::Args;

use super::OutputArgs;

/// `--chunk-size`
#[derive(Debug, Clone, Copy, Args)]
pub struct ChunkArg {
    /// Cut the package into volumes of at most SIZE: 16GB, 4GiB, fat32 (4 GiB less one byte)
    #[arg(long, value_name = "SIZE", value_parser = chunk_size)]
    pub chunk_size: Option<u64>,
}

/// `--volumes`
#[derive(Debug, Args)]
pub struct VolumesArg {
    /// Look in DIR too for the volumes of a package that was cut (repeatable)
    #[arg(long, value_name = "DIR")]
    pub volumes: Vec<PathBuf>,
}

/// `--layout`
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LayoutArg {
    /// x.run, x.run.002, x.run.003…: nothing around them
    Files,
    /// `chunk_000.tar`… and a manifest, as airgap-transfer packs them
    AirgapTransfer,
}

/// `builder split`
#[derive(Debug, Args)]
pub struct SplitArgs {
    /// The package, or the first of its volumes
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// How long a volume may be: 16GB, 4GiB, fat32 (4 GiB less one byte)
    #[arg(long, value_name = "SIZE", value_parser = chunk_size)]
    pub chunk_size: u64,
    /// How the volumes are wrapped
    #[arg(long, value_enum, default_value_t = LayoutArg::Files)]
    pub layout: LayoutArg,
    /// The directory the volumes are written to [default: <FILE>.volumes]
    #[arg(long, short, value_name = "DIR")]
    pub output: Option<PathBuf>,
    /// Replace files that are no package
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub volumes: VolumesArg,
    #[command(flatten)]
    pub out: OutputArgs,
}

/// `builder join`
#[derive(Debug, Args)]
pub struct JoinArgs {
    /// The first volume; the others are found beside it
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The one file that is written
    #[arg(long, short, value_name = "PATH")]
    pub output: PathBuf,
    /// Replace a file that is no package
    #[arg(long)]
    pub force: bool,
    #[command(flatten)]
    pub volumes: VolumesArg,
    #[command(flatten)]
    pub out: OutputArgs,
}

/// `--chunk-size`
fn chunk_size(text: &str) -> Result<u64, String> {
    if text.eq_ignore_ascii_case("fat32") {
        return Ok(payload::FAT32_MAX);
    }
    let size = payload::parse_size(text)?;
    if payload::is_volume_size(size) {
        return Ok(size);
    }
    Err("a volume is a whole number of kB or MiB long, so that a file that was cut off is not taken for one".to_owned())
}
