//! Whole manifests: the use case's own, the shipped ones, the reference's examples, and what is said about mistakes.
//! Rules of a single part are tested beside it.
use super::*;
use std::path::Path;
const USE_CASE: &str = include_str!("fixtures/use-case.toml");
fn said(text: &str) -> String {
    match parse(Path::new("AirGapDeploy.toml"), text.as_bytes()) {
        Ok(parsed) => format!("OK\n{}", parsed.render_warnings(false)),
        Err(errors) => format!("{}\n{errors}", errors.render(false)),
    }
}
#[test]
fn look() {
    println!("{}", said(USE_CASE));
    for f in std::fs::read_dir("/tmp/bad").unwrap() {
        let f = f.unwrap().path();
        println!("##### {f:?}");
        println!("{}", said(&std::fs::read_to_string(f).unwrap()));
    }
}
