//! Servers that truncate, stall, lie, change their mind, redirect in circles or to where nothing may come from.
//! Servers that behave are in `sources_url.rs`.

mod support;

use std::sync::Arc;
use std::time::Duration;

use builder::fetch::LockMode;
use payload::Digest;
use support::server::{Answer, Request, Server};
use support::{Bench, content, model, told, url};

const SIZE: usize = 400_000;

/// A server for one body, and what a test knows of it.
fn serving(answer: impl Fn(&Request, &[u8]) -> Answer + Send + Sync + 'static) -> (Server, Vec<u8>) {
    let body = content(SIZE);
    let served = body.clone();
    (Server::start(move |request| answer(request, &served)), body)
}

#[test]
fn a_dropped_connection_is_resumed_where_it_ended() {
    let (server, body) = serving(|request, body| {
        let answer = Answer::ranged(request, body, "\"v1\"");
        if request.number < 2 { answer.cut(100_000) } else { answer }
    });
    let bench = Bench::new();
    let component = model("m", url(&server.url("/m")), Some(Digest::of(&body)));
    assert_eq!(bench.content(&component).unwrap(), body);
    let ranges: Vec<_> = server.requests().iter().map(Request::range).collect();
    assert_eq!(ranges, [None, Some(100_000), Some(200_000)]);
    assert_eq!(server.requests()[1].header("if-range"), Some("\"v1\""));
    assert_eq!(server.sent(), SIZE as u64, "bytes were sent twice");
}

#[test]
fn a_later_run_resumes_what_an_earlier_one_left() {
    let (server, body) = serving(|request, body| {
        let answer = Answer::ranged(request, body, "\"v1\"");
        if request.number == 0 { answer.cut(150_000) } else { answer }
    });
    let mut bench = Bench::new();
    let component = model("m", url(&server.url("/m")), Some(Digest::of(&body)));
    bench.options.retry.attempts = 1;
    let error = bench.content(&component).unwrap_err();
    assert_eq!(error.exit_code(), 43);
    assert!(told(&error).contains("kept"), "{}", told(&error));
    assert_eq!(bench.content(&component).unwrap(), body);
    assert_eq!(server.requests()[1].range(), Some(150_000));
    assert!(bench.events().contains("Resumed"));
}

#[test]
fn a_part_that_a_power_cut_damaged_is_fetched_again() {
    let (server, body) = serving(|request, body| {
        let answer = Answer::ranged(request, body, "\"v1\"");
        if request.number == 0 { answer.cut(SIZE - 1) } else { answer }
    });
    let mut bench = Bench::new();
    let component = model("m", url(&server.url("/m")), Some(Digest::of(&body)));
    bench.options.retry.attempts = 1;
    bench.content(&component).unwrap_err();
    let part = bench.partials().into_iter().find(|path| path.extension().is_some_and(|e| e == "part")).unwrap();
    std::fs::write(&part, vec![0; SIZE]).unwrap();
    assert_eq!(bench.content(&component).unwrap(), body);
    assert_eq!(server.requests().len(), 2);
}

#[test]
fn a_server_that_ignores_ranges_is_asked_for_everything() {
    let (server, body) = serving(|request, body| {
        let answer = Answer::ok(body).with("etag", "\"v1\"");
        if request.number == 0 { answer.cut(100_000) } else { answer }
    });
    let component = model("m", url(&server.url("/m")), Some(Digest::of(&body)));
    assert_eq!(Bench::new().content(&component).unwrap(), body);
    assert_eq!(server.sent(), SIZE as u64 + 100_000);
}

#[test]
fn another_etag_starts_over_even_when_the_server_continues() {
    let (server, body) = serving(|request, body| match request.number {
        0 => Answer::ok(vec![b'x'; SIZE]).with("etag", "\"old\"").cut(100_000),
        // A careless server: continues, although the tag is another one.
        1 => Answer::new(206, &body[100_000..])
            .with("content-range", &format!("bytes 100000-{}/{SIZE}", SIZE - 1))
            .with("etag", "\"new\""),
        _ => Answer::ranged(request, body, "\"new\""),
    });
    let component = model("m", url(&server.url("/m")), Some(Digest::of(&body)));
    let bench = Bench::new();
    assert_eq!(bench.content(&component).unwrap(), body);
    assert_eq!(server.requests()[2].range(), None);
    assert!(bench.events().contains("the content changed on the server"), "{}", bench.events());
}

#[test]
fn content_that_changes_under_one_etag_is_fetched_once_more_in_one_piece() {
    let (server, body) = serving(|request, body| {
        let old = vec![b'x'; SIZE];
        if request.number == 0 {
            Answer::ranged(request, &old, "\"same\"").cut(100_000)
        } else {
            Answer::ranged(request, body, "\"same\"")
        }
    });
    let bench = Bench::new();
    let component = model("m", url(&server.url("/m")), Some(Digest::of(&body)));
    assert_eq!(bench.content(&component).unwrap(), body);
    assert_eq!(server.requests().iter().map(Request::range).collect::<Vec<_>>(), [None, Some(100_000), None]);
    assert!(bench.events().contains("do not fit together"), "{}", bench.events());
}

#[test]
fn content_that_always_changes_ends_in_an_error() {
    let (server, body) = serving(|request, body| {
        let tag = format!("\"{}\"", request.number);
        let mut mixed = body.to_vec();
        mixed[0] = u8::try_from(request.number % 250).unwrap();
        Answer::ranged(request, &mixed, &tag).cut(100_000 + request.number)
    });
    let component = model("m", url(&server.url("/m")), Some(Digest::of(&body)));
    assert_eq!(Bench::new().content(&component).unwrap_err().exit_code(), 43);
    assert!(server.requests().len() < 30, "{} requests", server.requests().len());
}

#[test]
fn a_wrong_range_or_a_shrunken_file_starts_over() {
    let (server, body) = serving(|request, body| match request.number {
        0 => Answer::ranged(request, body, "\"v\"").cut(100_000),
        1 => Answer::new(206, &body[5..])
            .with("content-range", &format!("bytes 5-{}/{SIZE}", SIZE - 1))
            .with("etag", "\"v\""),
        2 => Answer::ranged(request, body, "\"v\"").cut(200_000),
        3 => Answer::new(416, ""),
        _ => Answer::ranged(request, body, "\"v\""),
    });
    let component = model("m", url(&server.url("/m")), Some(Digest::of(&body)));
    assert_eq!(Bench::new().content(&component).unwrap(), body);
    assert_eq!(server.requests().len(), 5);
}

#[test]
fn a_length_that_is_a_lie_never_passes() {
    for lie in [SIZE + 7, SIZE - 7] {
        let (server, body) = serving(move |_, body| Answer::ok(body).announcing(lie));
        let bench = Bench::new();
        let error = bench.content(&model("m", url(&server.url("/m")), Some(Digest::of(&body)))).unwrap_err();
        assert!(matches!(error.exit_code(), 42 | 43), "{error}");
        assert!(bench.objects().is_empty());
    }
}

#[test]
fn a_flipped_byte_is_a_mismatch() {
    let (server, body) = serving(|_, body| {
        let mut flipped = body.to_vec();
        flipped[SIZE / 2] ^= 1;
        Answer::ok(flipped)
    });
    let bench = Bench::new();
    let error = bench.content(&model("m", url(&server.url("/m")), Some(Digest::of(&body)))).unwrap_err();
    assert!(error.to_string().starts_with("Model checksum mismatch"), "{error}");
    assert!(bench.partials().is_empty());
}

#[test]
fn a_stalled_connection_is_left_and_resumed() {
    let (server, body) = serving(|request, body| {
        let answer = Answer::ranged(request, body, "\"v\"");
        if request.number == 0 { answer.stall(100_000) } else { answer }
    });
    let mut bench = Bench::new();
    bench.options.timeouts.stall = Duration::from_millis(300);
    let component = model("m", url(&server.url("/m")), Some(Digest::of(&body)));
    assert_eq!(bench.content(&component).unwrap(), body);
    assert_eq!(server.requests()[1].range(), Some(100_000));
    assert!(bench.events().contains("no data came in time"), "{}", bench.events());
}

#[test]
fn busy_servers_are_asked_again_as_they_wish_and_absent_content_is_not() {
    let (server, body) = serving(|request, body| match request.number {
        0 => Answer::new(429, "").with("retry-after", "3600"),
        1 => Answer::new(503, "later"),
        _ => Answer::ok(body),
    });
    let mut bench = Bench::new();
    bench.options.retry.longest_wait = Duration::from_millis(9);
    assert_eq!(bench.content(&model("m", url(&server.url("/m")), Some(Digest::of(&body)))).unwrap(), body);
    assert!(bench.events().contains("wait: 9ms"), "Retry-After, capped: {}", bench.events());
    for status in [404, 403, 410] {
        let server = Server::start(move |_| Answer::new(status, "no such thing"));
        let error = bench.content(&model("n", url(&server.url("/n")), Some(Digest::of(b"n")))).unwrap_err();
        assert_eq!(server.requests().len(), 1, "{status} was asked again");
        assert_eq!(error.exit_code(), if status == 403 { 43 } else { 41 });
    }
}

#[test]
fn redirects_in_circles_end() {
    let server = Server::start(|_| Answer::redirect(302, "/again"));
    let error = Bench::new().content(&model("m", url(&server.url("/m")), Some(Digest::of(b"m")))).unwrap_err();
    assert_eq!(error.exit_code(), 43);
    assert!(error.to_string().contains("redirects"), "{error}");
    assert_eq!(server.requests().len(), 11);
}

#[test]
fn redirects_to_plain_http_to_files_and_elsewhere_are_refused() {
    for to in ["http://example.org/m", "file:///etc/passwd", "ftp://127.0.0.1/m", "gopher://x"] {
        let server = Server::start(move |_| Answer::redirect(307, to));
        let error = Bench::new().content(&model("m", url(&server.url("/m")), Some(Digest::of(b"m")))).unwrap_err();
        assert_eq!(error.exit_code(), 43);
        assert!(error.to_string().contains("not HTTPS"), "{to}: {error}");
        assert_eq!(server.requests().len(), 1);
    }
}

#[test]
fn allowed_hosts_hold_for_redirects_and_for_what_is_already_here() {
    let target = Server::start(|_| Answer::ok("x"));
    let to = format!("http://localhost:{}/x", target.address.port());
    let server = Server::start(move |_| Answer::redirect(302, &to));
    let component = model("m", url(&server.url("/m")), Some(Digest::of(b"x")));
    let mut bench = Bench::new();
    bench.allowed_hosts = Some(vec!["127.0.0.1".to_owned()]);
    let error = bench.content(&component).unwrap_err();
    assert!(told(&error).contains("localhost is not in allowed_hosts"), "{}", told(&error));
    assert!(target.requests().is_empty());
    bench.allowed_hosts = None;
    bench.content(&component).unwrap();
    assert!(bench.lock_text().contains("final_host = \"localhost\""), "{}", bench.lock_text());
    bench.allowed_hosts = Some(vec!["127.0.0.1".to_owned()]);
    assert_eq!(bench.content(&component).unwrap_err().exit_code(), 43, "the cache must not launder content");
}

#[test]
fn credentials_stay_with_their_host_and_out_of_every_text() {
    let target = Server::start(|_| Answer::ok("x"));
    let to = format!("http://localhost:{}/x", target.address.port());
    let server = Server::start(move |_| Answer::redirect(302, &to));
    let secret = server.url("/m").replace("http://", "http://user:hunter2@");
    let mut bench = Bench::new();
    let component = model("m", url(&secret), None);
    bench.in_mode(LockMode::Record).content(&component).unwrap();
    assert_eq!(server.requests()[0].header("authorization"), Some("Basic dXNlcjpodW50ZXIy"));
    assert_eq!(target.requests()[0].header("authorization"), None);
    let denied = Server::start(|_| Answer::new(401, "who are you"));
    let secret = denied.url("/n").replace("http://", "http://user:hunter2@");
    let error = bench.content(&model("n", url(&secret), None)).unwrap_err();
    for text in [told(&error), bench.lock_text(), bench.events(), format!("{error:?}")] {
        assert!(!text.contains("hunter2"), "{text}");
    }
}

#[test]
fn a_web_page_in_place_of_a_model_is_called_that() {
    let page = || Answer::ok("<html>please log in</html>").with("content-type", "text/html; charset=utf-8");
    let server = Server::start(move |_| page());
    let mut bench = Bench::new();
    let error = bench.content(&model("m", url(&server.url("/m")), Some(Digest::of(b"m")))).unwrap_err();
    assert!(error.exit_code() == 42 && error.to_string().contains("web page"), "{error}");
    let error = bench.in_mode(LockMode::Record).content(&model("m", url(&server.url("/m")), None)).unwrap_err();
    assert!(error.exit_code() == 43 && error.to_string().contains("web page"), "{error}");
}

#[test]
fn too_little_space_is_found_before_a_byte_is_written() {
    let (server, body) = serving(|request, body| Answer::ranged(request, body, "\"v\""));
    let mut bench = Bench::new();
    bench.options.free_space = Arc::new(|_| Ok(SIZE as u64 - 1));
    let error = bench.content(&model("m", url(&server.url("/m")), Some(Digest::of(&body)))).unwrap_err();
    assert_eq!(error.exit_code(), 22);
    assert!(error.to_string().starts_with("Out of disk space"), "{error}");
    let written: u64 = bench.partials().iter().map(|path| path.metadata().unwrap().len()).sum();
    assert!(written < 100, "{written} bytes were written");
    bench.options.free_space = Arc::new(|_| Ok(SIZE as u64));
    bench.content(&model("m", url(&server.url("/m")), Some(Digest::of(&body)))).unwrap();
}

#[test]
fn one_failure_stops_the_rest_and_is_the_one_reported() {
    let (server, body) = serving(|request, body| match request.target.as_str() {
        "/missing" => Answer::new(404, ""),
        _ => Answer::ranged(request, body, "\"v\"").stall(100_000),
    });
    let bench = Bench::new();
    let slow = model("slow", url(&server.url("/slow")), Some(Digest::of(&body)));
    let missing = model("missing", url(&server.url("/missing")), Some(Digest::of(b"?")));
    let mut quick = Bench::new();
    quick.options.timeouts.stall = Duration::from_millis(500);
    let error = quick.acquire(&[slow, missing]).unwrap_err();
    assert!(error.to_string().contains("\"missing\""), "{error}");
    drop(bench);
}
