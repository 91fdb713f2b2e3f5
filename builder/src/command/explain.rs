//! `builder explain`: what an exit code or an error means.
//! The texts are in `payload`, where the stub finds the same ones.

use payload::{EXPLANATIONS, Explanation};
use serde_json::json;

use super::Failure;
use super::cli::ExplainArgs;
use super::output::{print_json, say};

pub fn explain(args: &ExplainArgs) -> Result<(), Failure> {
    let asked = args.asked.join(" ");
    let found: Vec<&Explanation> =
        if asked.is_empty() { EXPLANATIONS.iter().collect() } else { payload::explain(&asked) };
    if found.is_empty() {
        let what = format!("{:?} is no exit code and no error of this program", payload::printable(&asked));
        return Err(Failure::new(2, what, "builder explain lists all of them"));
    }
    for one in found {
        if args.out.json {
            print_json(&json!({
                "explain": 1, "exit_code": one.exit_code, "name": one.name,
                "cause": one.cause, "look_at": one.look_at, "remedy": one.remedy,
            }));
        }
        one.lines().iter().for_each(|line| say(args.out, line));
    }
    Ok(())
}
