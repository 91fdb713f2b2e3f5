//! From what was typed to what is done: one file for each action.
//! The stages that they go through have rooms of their own.

pub mod cli;
mod extract;
mod open;
pub mod run;
