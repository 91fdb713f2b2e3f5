//! `--verify`: every byte of the file against its index.
//! Comparing is done by the crate `payload`.

use payload::{Package, Watch};

use super::cli::Args;
use super::medium;
use crate::error::Error;
use crate::report::evidence::Evidence;
use crate::report::screen::Screen;
use crate::report::signature;

/// Verifies the package.
///
/// # Errors
/// Exit code 10 when it is damaged.
pub fn verify(
    package: &Package,
    args: &Args,
    workers: usize,
    screen: Screen,
    evidence: &Evidence,
) -> Result<(), Error> {
    let workers = medium::prepare(package, args, workers, screen)?;
    let bar = screen.progress("verifying", package.index().stored_size());
    let outcome = package.verify(workers, Watch { progress: &|bytes| bar.inc(bytes), ..Watch::nobody() });
    bar.finish_and_clear();
    outcome.map_err(|error| Error::payload(&package.narrow(error)))?;
    let index = package.index();
    evidence.verified(package);
    let document = serde_json::json!({
            "verify": 1,
            "package": index.package.name.as_str(),
            "version": index.package.version,
            "index": package.digest().to_string(),
            "length": index.total_length,
            "signed": *package.signature() != payload::Signature::Unsigned,
            "signature": signature::json(package),
            "stub": signature::stub_json(package),
    });
    evidence.result(&document);
    if screen.json {
        screen.json(&document);
    } else {
        screen.say(&format!(
            "{} {}: every byte is as it was packed",
            index.package.name,
            payload::printable(&index.package.version)
        ));
        screen.say_all(&signature::digest_lines(package));
        screen.say_all(&signature::lines(package));
    }
    Ok(())
}
