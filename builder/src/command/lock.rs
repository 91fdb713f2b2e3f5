//! `builder lock`: resolves and fetches everything, and writes the lock file.
//! The lock file itself is the library's `lock`.

use builder::BuildError;
use builder::fetch::{LockMode, acquire};
use builder::manifest::select;
use serde_json::json;

use super::cli::LockArgs;
use super::output::{manifest_with_warnings, print_json, say, sink};
use super::prep::lock_changes;
use super::{Failure, source_options};

pub fn lock(args: &LockArgs) -> Result<(), Failure> {
    let parsed = manifest_with_warnings(&args.manifest.path()?, args.target.arch(), args.out)?;
    let options = source_options(&args.source, LockMode::Record)?;
    let manifest = &parsed.manifest;
    let components = select(manifest, &args.include.include).map_err(BuildError::from)?;
    let sink = sink(args.out);
    let acquisition = acquire(manifest, &components, &options, sink.as_ref()).map_err(BuildError::from)?;
    drop(sink);
    if args.out.json {
        print_json(
            &json!({"lock": 1, "path": acquisition.lock_path.display().to_string(), "changes": acquisition.lock_changes}),
        );
    }
    if acquisition.lock_changes.is_empty() {
        say(args.out, &format!("{}: nothing changed", acquisition.lock_path.display()));
    }
    lock_changes(&acquisition.lock_changes, &acquisition.lock_path, args.out);
    Ok(())
}
