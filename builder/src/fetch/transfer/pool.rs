//! Several transfers at once, on a bounded number of threads; the first failure stops the others.
//! One transfer is `transfer.rs`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::fetch::error::SourceError;
use crate::fetch::transfer::{Failure, Fetched, Fetcher, Order};
use crate::progress::ItemId;

/// Fetches all `orders`, `parallel` at a time. Results are in the order of `orders`.
pub(crate) fn fetch_all(
    fetcher: &Fetcher<'_>,
    orders: &[Order],
    first_item: usize,
    parallel: usize,
) -> Result<Vec<Fetched>, SourceError> {
    check_space(fetcher, orders)?;
    let next = AtomicUsize::new(0);
    let results: Vec<Mutex<Option<Result<Fetched, Failure>>>> = orders.iter().map(|_| Mutex::new(None)).collect();
    std::thread::scope(|scope| {
        for _ in 0..parallel.clamp(1, orders.len().max(1)) {
            scope.spawn(|| work(fetcher, orders, first_item, &next, &results));
        }
    });
    collect(results)
}

fn work(
    fetcher: &Fetcher<'_>,
    orders: &[Order],
    first_item: usize,
    next: &AtomicUsize,
    results: &[Mutex<Option<Result<Fetched, Failure>>>],
) {
    while !fetcher.cancel.is_set() {
        let index = next.fetch_add(1, Ordering::Relaxed);
        let (Some(order), Some(slot)) = (orders.get(index), results.get(index)) else { return };
        let result = fetcher.fetch(ItemId(first_item + index), order);
        if result.is_err() {
            fetcher.cancel.set();
        }
        if let Ok(mut slot) = slot.lock() {
            *slot = Some(result);
        }
    }
}

fn collect(results: Vec<Mutex<Option<Result<Fetched, Failure>>>>) -> Result<Vec<Fetched>, SourceError> {
    let mut fetched = Vec::new();
    for result in results {
        match result.into_inner() {
            Ok(Some(Ok(file))) => fetched.push(file),
            Ok(Some(Err(Failure::Error(error)))) => return Err(*error),
            // Stopped, or not begun, because of a later one: its error follows.
            _ => {}
        }
    }
    Ok(fetched)
}

/// All known sizes together, before a byte is written; the rest is checked file by file.
fn check_space(fetcher: &Fetcher<'_>, orders: &[Order]) -> Result<(), SourceError> {
    let missing = orders.iter().filter(|order| !order.expected.is_some_and(|digest| fetcher.cache.has(digest)));
    let needed: u64 = missing.clone().filter_map(|order| order.size).sum();
    let here: u64 = missing.clone().filter_map(|order| part_length(fetcher, order)).sum();
    let Some(first) = missing.clone().next().filter(|_| !fetcher.offline) else { return Ok(()) };
    match fetcher.space.promise(needed.saturating_sub(here)) {
        Ok(_) => Ok(()),
        Err(available) => Err(SourceError::NoSpace {
            component: first.about.component.clone(),
            path: fetcher.cache.dir().to_owned(),
            needed,
            available,
        }),
    }
}

fn part_length(fetcher: &Fetcher<'_>, order: &Order) -> Option<u64> {
    order.size?;
    Some(fetcher.cache.partial(order.key()).with_extension("part").metadata().ok()?.len())
}
