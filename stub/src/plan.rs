//! From an index and the facts about a machine to the steps between them, and to everything that speaks against these.
//! Nothing is changed here; the steps are carried out in `apply.rs`.

mod earlier;
pub mod facts;
pub mod planner;
pub mod preflight;
pub mod removal;
pub mod step;
