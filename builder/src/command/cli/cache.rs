//! What is typed to look after the cache of downloads.
//! What it leads to is in `command/cache.rs`.

use builder::fetch::Prune;
use clap::{Args, Subcommand};

use super::{CacheDirArg, OutputArgs};

/// `builder cache …`
#[derive(Debug, Clone, Subcommand)]
pub enum CacheCommand {
    /// Show what the cache holds
    List,
    /// Remove what has not been used for a while
    Prune(PruneArgs),
}

/// `builder cache prune …`
#[derive(Debug, Clone, Args)]
pub struct PruneArgs {
    /// Remove everything
    #[arg(long, conflicts_with = "unused_for")]
    pub all: bool,
    /// Remove what no build has used for so many days
    #[arg(long, value_name = "DAYS", default_value_t = 30)]
    pub unused_for: u32,
}

impl PruneArgs {
    /// The same in the library's terms.
    pub fn what(&self) -> Prune {
        if self.all { Prune::Everything } else { Prune::UnusedFor(self.unused_for) }
    }
}

/// `builder cache`
#[derive(Debug, Args)]
pub struct CacheArgs {
    #[command(subcommand)]
    pub command: CacheCommand,
    #[command(flatten)]
    pub directory: CacheDirArg,
    #[command(flatten)]
    pub out: OutputArgs,
}
