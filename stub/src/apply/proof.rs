//! That what was installed works: the service answers, and each of its models, with the times that took.
//! How the question gets past the installer's own closed network is in `host/proxy.rs`.

use std::time::{Duration, Instant};

use crate::error::Error;
use crate::exit::Exit;
use crate::host::http::HttpError;
use crate::host::interrupt;
use crate::host::machine::{Machine, StepError};
use crate::host::ollama;
use crate::host::ollama_client::{self, Performance, Silence};
use crate::host::proxy::{self, Proxy};
use crate::host::root::Root;
use crate::host::unit::Manager;
use crate::plan::Proof;

use super::recover;

/// How long a service may take to listen after its start, and how often it is asked in that time.
const HEALTHY_WITHIN: Duration = Duration::from_secs(2 * 60);
const INTERVAL: Duration = Duration::from_millis(200);

/// What is told while models are asked.
pub trait Answers {
    /// A model answered.
    fn answered(&self, model: &str, performance: &Performance);
    /// Why nothing is asked: no fault of the package.
    fn not_asked(&self, why: &str);
}

/// Waits until the service answers, and asks each of its models.
///
/// # Errors
/// The service does not come up, or a model does not answer; without the state of the machine, which the caller knows.
pub fn prove(proof: &Proof, machine: &Machine, answers: &dyn Answers) -> Result<(), Error> {
    let unit = proof.unit.as_str();
    let root = &machine.root;
    let Some(manager) = Manager::of(root) else { return Ok(()) };
    if !manager.look(unit).is_ok_and(|state| state.is_up()) {
        answers.not_asked(&format!("{unit} does not run"));
        return Ok(());
    }
    let host = ollama::listens(root, unit).map_err(|error| failed(root, unit, &StepError::from(error)))?;
    let Some(address) = proxy::reached_at(&host) else {
        answers.not_asked(&format!("{unit} listens on {}, which is no address", payload::printable(&host)));
        return Ok(());
    };
    let way = match Proxy::open(address) {
        Ok(way) => way,
        Err(error) => {
            answers.not_asked(&error.to_string());
            return Ok(());
        }
    };
    wait_until_healthy(root, unit, &way, &address.to_string())?;
    let mut silent = Vec::new();
    for model in &proof.models {
        match ollama_client::ask(&way, model) {
            Ok(performance) => answers.answered(model, &performance),
            Err(Silence::Http(HttpError::Interrupted)) => return Err(interrupted()),
            Err(why) => silent.push(format!("{model}: {why}")),
        }
    }
    if silent.is_empty() {
        return Ok(());
    }
    let what = format!("Service started, but a model does not answer: {}", silent.join("\n  "));
    Err(Error::new(Exit::ServiceFailed, what).hint(format!("journalctl -u {unit} says what Ollama reported")))
}

fn wait_until_healthy(root: &Root, unit: &str, way: &Proxy, address: &str) -> Result<(), Error> {
    let Some(manager) = Manager::of(root) else { return Ok(()) };
    let started = Instant::now();
    loop {
        let silence = match ollama_client::version(way) {
            Ok(_) => return Ok(()),
            Err(Silence::Http(HttpError::Interrupted)) => return Err(interrupted()),
            Err(silence) => silence,
        };
        let state = manager.look(unit).map_err(|error| failed(root, unit, &error.into()))?;
        if !state.is_up() || state.has_failed() || state.keeps_restarting() {
            return Err(failed(
                root,
                unit,
                &StepError::State(format!("{unit} was started and ended again ({})", state.result)),
            ));
        }
        if started.elapsed() >= HEALTHY_WITHIN {
            let seconds = HEALTHY_WITHIN.as_secs();
            let what = format!("{unit} runs, but does not answer on {address} within {seconds} s: {silence}");
            return Err(failed(root, unit, &StepError::State(what)));
        }
        if interrupt::requested() {
            return Err(interrupted());
        }
        std::thread::sleep(INTERVAL);
    }
}

fn failed(root: &Root, unit: &str, error: &StepError) -> Error {
    recover::service_failure(root, &[(unit.to_owned(), error.to_string())])
}

fn interrupted() -> Error {
    Error::new(Exit::Interrupted, "interrupted while the models were asked".to_owned())
}
