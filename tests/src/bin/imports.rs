//! Prints which folders of each crate import which: `make graph`.
//! That there is no circle is a test (`tests/tests/architecture.rs`).

use anyhow::Result;
use e2e::crash::workspace;
use e2e::imports::Graph;

fn main() -> Result<()> {
    for name in ["payload", "builder", "stub"] {
        println!("{name}\n{}", Graph::of(&workspace().join(name).join("src"))?);
    }
    Ok(())
}
