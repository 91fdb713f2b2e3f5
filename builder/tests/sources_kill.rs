//! The builder's process is killed at random moments of a large download: every next run continues exactly where the
//! last one ended. Connections that break while the builder lives are in `sources_hostile.rs`.

#![expect(clippy::unwrap_used, reason = "what tests share fails as they do")]

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use payload::Digest;
use support::server::{Answer, Server};
use support::{Bench, content, model, url};

const SIZE: usize = 24 << 20;
const KILLS: usize = 20;
/// No run gets further than this, however late its kill comes: the content is never complete before the last one.
const SLICE: usize = SIZE / (KILLS + 5);
const SEED: u64 = 0x00a1_97ab;
/// Tells the child what to fetch and where to; the child is this very test program.
const VARIABLE: &str = "SOURCES_KILL_CHILD";

/// Numbers that look random and are the same each time (xorshift).
fn random(state: &mut u64) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    usize::try_from(*state >> 33).unwrap()
}

/// Does nothing unless it is the child.
#[test]
fn child() {
    let Ok(order) = std::env::var(VARIABLE) else { return };
    let [address, digest, cache] = order.split('|').collect::<Vec<_>>().try_into().unwrap();
    let mut bench = Bench::new();
    bench.options.cache_dir = cache.into();
    bench.content(&model("m", url(address), Some(digest.parse().unwrap()))).unwrap();
}

fn spawn(address: &str, digest: Digest, cache: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child"]).env(VARIABLE, format!("{address}|{digest}|{}", cache.display()));
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

fn part_length(bench: &Bench) -> usize {
    let dir = bench.options.cache_dir.join("partial");
    let Ok(entries) = std::fs::read_dir(dir) else { return 0 };
    let parts = entries.map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|e| e == "part"));
    parts.map(|path| usize::try_from(path.metadata().unwrap().len()).unwrap()).sum()
}

/// Waits until the part file has `length` bytes, and kills the child there. False when it ended by itself.
fn kill_at(child: &mut Child, bench: &Bench, length: usize) -> bool {
    while part_length(bench) < length {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        std::thread::yield_now();
    }
    child.kill().unwrap();
    child.wait().unwrap();
    true
}

#[test]
fn twenty_kills_cost_nothing_but_what_was_in_flight() {
    let body = Arc::new(content(SIZE));
    let digest = Digest::of(&body);
    let (copy, last) = (Arc::clone(&body), Arc::new(AtomicBool::new(false)));
    let is_last = Arc::clone(&last);
    let server = Server::start(move |request| {
        let answer = Answer::ranged(request, &copy, "\"v\"");
        if is_last.load(Ordering::SeqCst) { answer } else { answer.stall(SLICE) }
    });
    let bench = Bench::new();
    let mut state = SEED;
    for round in 0..KILLS {
        let (here, asked) = (part_length(&bench), server.requests().len());
        let mut child = spawn(&server.url("/m"), digest, &bench.options.cache_dir);
        let moment = here + random(&mut state) % SLICE;
        assert!(kill_at(&mut child, &bench, moment), "round {round}: the child ended at {here} bytes");
        let requests = server.requests().split_off(asked);
        assert!(requests.iter().all(|request| request.range().unwrap_or(0) == here), "round {round}: {requests:?}");
        assert!(part_length(&bench) >= here, "round {round} lost bytes");
    }
    let (here, asked) = (part_length(&bench), server.requests().len());
    assert!(here > SIZE / 4, "the kills came too early to tell anything: {here}");
    last.store(true, Ordering::SeqCst);
    assert_eq!(bench.content(&model("m", url(&server.url("/m")), Some(digest))).unwrap(), **body);
    assert_eq!(server.requests()[asked].range(), Some(here));
    assert!(bench.partials().is_empty());
}
