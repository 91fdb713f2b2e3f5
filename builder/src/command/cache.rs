//! `builder cache`: what it holds, and less of it.
//! The cache itself is the library's.

use std::path::Path;
use std::time::SystemTime;

use builder::BuildError;
use builder::fetch::{EntryKind, SourceEnvironment, cache_list, cache_prune};
use serde_json::json;

use super::Failure;
use super::cli::{CacheArgs, CacheCommand, OutputArgs};
use super::output::{print_json, say};

pub fn cache(args: &CacheArgs) -> Result<(), Failure> {
    let environment = SourceEnvironment::from_vars(|name| std::env::var(name).ok());
    let directory = environment.cache_dir(args.directory.cache_dir.as_deref()).map_err(BuildError::from)?;
    log::info!("cache {}", directory.display());
    match &args.command {
        CacheCommand::List => list_cache(&directory, args.out),
        CacheCommand::Prune(prune) => {
            let report = cache_prune(&directory, prune.what(), SystemTime::now())
                .map_err(|error| Failure::new(error.exit_code(), error.to_string(), error.hint()))?;
            if args.out.json {
                print_json(
                    &json!({"cache_pruned": 1, "removed": report.removed, "freed": report.freed, "kept": report.kept}),
                );
            }
            say(
                args.out,
                &format!("removed {}, freed {}, kept {}", report.removed, payload::size(report.freed), report.kept),
            );
            Ok(())
        }
    }
}

fn list_cache(directory: &Path, out: OutputArgs) -> Result<(), Failure> {
    for entry in cache_list(directory).map_err(BuildError::from)? {
        let (digest, name) = match entry.kind {
            EntryKind::Object { digest, name, url } => (digest.to_string(), name.or(url).unwrap_or_default()),
            EntryKind::Unfinished => ("unfinished".to_owned(), String::new()),
        };
        if out.json {
            print_json(&json!({"cache_entry": 1, "digest": digest, "size": entry.size, "name": name}));
        }
        say(out, &format!("{digest} {:>10} {}", payload::size(entry.size), payload::printable(&name)));
    }
    Ok(())
}
