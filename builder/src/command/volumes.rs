//! `builder split` and `builder join`: a finished package in volumes for several media, and in one file again.
//! Cutting and joining is done by the library.

use std::path::PathBuf;

use builder::output::split::{self, VolumeLayout, Written};
use payload::Trust;
use serde_json::json;

use super::Failure;
use super::cli::{JoinArgs, LayoutArg, OutputArgs, SplitArgs};
use super::inspect::open;
use super::output::{print_json, say, warn};

pub fn split(args: &SplitArgs) -> Result<(), Failure> {
    let package = open(&args.file, &args.volumes.volumes, &Trust::nobody())?;
    let directory = args.output.clone().unwrap_or_else(|| {
        let mut name = args.file.as_os_str().to_owned();
        name.push(".volumes");
        PathBuf::from(name)
    });
    warn_of_four_gib(args.chunk_size, args.out);
    let layout = match args.layout {
        LayoutArg::Files => VolumeLayout::Files,
        LayoutArg::AirgapTransfer => VolumeLayout::AirgapTransfer,
    };
    let written = split::split(&package, &args.file, args.chunk_size, layout, &directory, args.force)
        .map_err(|error| Failure::new(error.exit_code(), error.to_string(), error.hint()))?;
    tell("split", &written, args.out);
    Ok(())
}

pub fn join(args: &JoinArgs) -> Result<(), Failure> {
    let package = open(&args.file, &args.volumes.volumes, &Trust::nobody())?;
    let written = split::join(&package, &args.file, &args.output, args.force)
        .map_err(|error| Failure::new(error.exit_code(), error.to_string(), error.hint()))?;
    tell("join", &written, args.out);
    Ok(())
}

/// 4 GiB are one byte more than FAT32 takes.
pub(super) fn warn_of_four_gib(size: u64, out: OutputArgs) {
    if size == payload::FAT32_MAX + 1 && !out.quiet {
        warn("warning: files of 4 GiB are one byte too long for FAT32: --chunk-size fat32 makes the longest that fit");
    }
}

fn tell(what: &str, written: &Written, out: OutputArgs) {
    let volumes = &written.volumes;
    if out.json {
        print_json(&json!({
            what: 1,
            "volumes": volumes.iter().map(|volume| json!({
                "path": volume.path.display().to_string(), "length": volume.length, "digest": volume.digest.to_string(),
            })).collect::<Vec<_>>(),
            "list": written.list.display().to_string(),
            "digest": written.digest.to_string(),
        }));
    }
    for (position, volume) in volumes.iter().enumerate() {
        let size = payload::size(volume.length);
        say(out, &format!("wrote {} (volume {} of {}, {size})", volume.path.display(), position + 1, volumes.len()));
    }
    say(out, &format!("wrote {}", written.list.display()));
    if volumes.len() > 1 {
        say(
            out,
            "next: copy each volume to a medium, and the list with it; there, sha256sum -c --ignore-missing compares",
        );
    }
}
