//! `builder check`: everything that is wrong with a manifest.
//! What that is, is found by the library's `check`.

use builder::check;
use serde_json::json;

use super::Failure;
use super::cli::CheckArgs;
use super::output::{manifest_with_warnings, print_json, say};

pub fn check_manifest(args: &CheckArgs) -> Result<(), Failure> {
    let path = args.file.as_ref().or(args.manifest.as_ref()).cloned().unwrap_or_default();
    let parsed = manifest_with_warnings(&path, args.out)?;
    let findings = check(&parsed.manifest);
    if args.out.json {
        print_json(&json!({"check": 1, "warnings": parsed.warning_findings(), "findings": findings}));
    }
    if findings.is_empty() {
        say(args.out, &format!("{}: nothing is wrong with it", path.display()));
        return Ok(());
    }
    let what = format!("{}:\n  {}", path.display(), findings.join("\n  "));
    Err(Failure::new(40, what, "correct the manifest, then check it again"))
}
