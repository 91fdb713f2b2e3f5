//! `builder init`: a manifest to start from.
//! The texts are files in `manifests/`.

use std::io::Write;
use std::path::PathBuf;

use builder::manifest::init::init_text;

use super::Failure;
use super::cli::InitArgs;
use super::output::{say, typed};

pub fn init(args: &InitArgs) -> Result<(), Failure> {
    let path = args.output.clone().unwrap_or_else(|| PathBuf::from(args.kind.file_name()));
    let failed = |error: std::io::Error| {
        let hint = "name another file: --output PATH";
        Failure::new(44, format!("cannot write {}: {error}", path.display()), hint)
    };
    let mut file = std::fs::File::options().write(true).create_new(true).open(&path).map_err(failed)?;
    file.write_all(init_text(args.kind).as_bytes()).map_err(failed)?;
    say(args.out, &format!("wrote {}", path.display()));
    let name = typed(&path.display().to_string());
    say(args.out, &format!("next: edit it, then builder check {name} and builder --manifest {name}"));
    Ok(())
}
