//! Gets everything that the acceptance test needs: tools, Ollama, model, base of the machine. Says what it does.
//! The test itself is `tests/acceptance.rs`.

use anyhow::Result;
use e2e::base::{self, Suite};
use e2e::controller::Controller;
use e2e::{exporter, model, ollama, packages};

fn main() -> Result<()> {
    packages::install(packages::ACCEPTANCE)?;
    ollama::provide()?;
    model::INSTRUCT.provide()?;
    model::GEMMA.provide()?;
    for suite in [Suite::Bookworm, Suite::Bullseye, Suite::Trixie, Suite::Sysvinit, Suite::Fleet] {
        base::provide(suite)?;
    }
    Controller::provide()?;
    exporter::release()?;
    Ok(())
}
