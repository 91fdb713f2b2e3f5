//! `builder check`: everything that is wrong with a manifest.
//! What that is, is found by the library's `check`.

use builder::check;
use serde_json::json;

use super::Failure;
use super::cli::CheckArgs;
use super::output::{manifest_with_warnings, print_json, say};

pub fn check_manifest(args: &CheckArgs) -> Result<(), Failure> {
    let path = args.manifest.path()?;
    let parsed = manifest_with_warnings(&path, args.target.arch(), args.out)?;
    let problems = check(&parsed.manifest);
    let findings: Vec<&str> = problems.iter().map(|problem| problem.what.as_str()).collect();
    if args.out.json {
        print_json(&json!({"check": 1, "warnings": parsed.warning_findings(), "findings": findings}));
    }
    let Some(first) = problems.first() else {
        let verdict = match parsed.warnings.len() {
            0 => "no errors, no warnings".to_owned(),
            1 => "no errors, 1 warning".to_owned(),
            warnings => format!("no errors, {warnings} warnings"),
        };
        say(args.out, &format!("{}: {verdict}", path.display()));
        return Ok(());
    };
    let what = format!("{}:\n  {}", path.display(), findings.join("\n  "));
    Err(Failure::new(first.exit_code, what, "correct the manifest or its sources, then check again"))
}
