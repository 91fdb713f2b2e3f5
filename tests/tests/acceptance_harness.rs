//! The harness itself: machines, traces and servers do what the acceptance test relies on.
//! Needs root and Debian's tools; `make acceptance` installs them and runs these first.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;
use e2e::base::Suite;
use e2e::command::{argv, capture, succeed, wait_until};
use e2e::counters::Counters;
use e2e::machine::{BindRo, Machine};
use e2e::server::Server;
use e2e::sockets;
use e2e::strace::Event;
use e2e::tracer::Tracer;

#[test]
#[ignore = "needs root and systemd-nspawn; run by `make acceptance`"]
fn a_machine_runs_commands_reboots_and_keeps_its_files() -> Result<()> {
    let stick = tempfile::tempdir()?;
    let stand_in = stick.path().join("stand-in.run");
    fs::write(&stand_in, "#!/bin/sh\necho \"$(id -un) in $HOME says $*\"; echo aside >&2; exit 7\n")?;
    fs::set_permissions(&stand_in, fs::Permissions::from_mode(0o755))?;
    fs::set_permissions(stick.path(), fs::Permissions::from_mode(0o755))?;
    let mut machine = Machine::boot(Suite::Bookworm, &[BindRo::new(stick.path(), "/media/usb")])?;

    machine.add_user("alice")?;
    let said = machine.run_as("alice", &["/media/usb/stand-in.run", "two words", ";"])?;
    assert_eq!((said.code, said.stdout.as_str()), (7, "alice in /home/alice says two words ;\n"));
    assert_eq!(said.stderr, "aside\n");
    assert_eq!(machine.run(&["touch", "/media/usb/x"])?.code, 1, "the stick is writable");
    assert_eq!(machine.run(&["cat", "/proc/1/comm"])?.stdout, "systemd\n");

    machine.must(&["sh", "-c", "echo kept > /var/lib/kept; echo gone > /run/gone"])?;
    let leader = machine.leader();
    machine.reboot()?;
    assert_ne!(machine.leader(), leader, "the same PID 1 as before the reboot");
    assert_eq!(machine.must(&["cat", "/var/lib/kept"])?.stdout, "kept\n");
    assert_eq!(machine.run(&["test", "-e", "/run/gone"])?.code, 1);
    machine.power_off()
}

#[test]
#[ignore = "needs root and systemd-nspawn; run by `make acceptance`"]
fn a_command_that_does_not_end_is_stopped_and_keeps_what_it_said() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm, &[])?;
    let said = machine.run_within("root", Duration::from_secs(1), &["sh", "-c", "echo begun; exec sleep 600"])?;
    assert!(said.timed_out && !said.ok());
    assert_eq!(said.stdout, "begun\n");
    assert_eq!(machine.run(&["pgrep", "-x", "sleep"])?.code, 1, "it still runs");
    let talk = ["sh", "-c", "while :; do echo more; sleep 0.1; done"];
    let said = machine.run_until("root", Duration::from_secs(60), |said| said.lines().count() > 2, &talk)?;
    assert!(said.cut && !said.timed_out && said.stdout.starts_with("more\nmore\nmore\n"), "{}", said.describe());
    Ok(())
}

#[test]
#[ignore = "needs root and systemd-nspawn; run by `make acceptance`"]
fn two_machines_at_once_are_apart() -> Result<()> {
    let one = Machine::boot(Suite::Bookworm, &[])?;
    let two = Machine::boot(Suite::Bookworm, &[])?;
    one.must(&["touch", "/only-in-one"])?;
    assert_eq!(two.run(&["test", "-e", "/only-in-one"])?.code, 1);
    drop(one);
    two.must(&["true"])?;
    Ok(())
}

#[test]
#[ignore = "needs root and systemd-nspawn; run by `make acceptance`"]
fn a_machine_goes_with_its_test_even_when_that_is_killed() -> Result<()> {
    if std::env::var_os("MACHINE_TO_LEAVE_BEHIND").is_some() {
        let machine = Machine::boot(Suite::Bookworm, &[])?;
        fs::write(std::env::var("MACHINE_TO_LEAVE_BEHIND")?, format!("{} {}", std::process::id(), machine.leader()))?;
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL)?;
    }
    let note = tempfile::NamedTempFile::new()?;
    let name = "a_machine_goes_with_its_test_even_when_that_is_killed";
    let mut again = Command::new(std::env::current_exe()?);
    again.args(["--exact", name, "--ignored"]).env("MACHINE_TO_LEAVE_BEHIND", note.path());
    let killed = capture(&mut again, Duration::from_secs(120))?;
    assert_eq!(killed.code, 128 + 9, "{}", killed.describe());
    let pids = fs::read_to_string(note.path())?;
    let (owner, leader) = pids.split_once(' ').unwrap_or_default();
    let gone = || Ok(!Path::new("/proc").join(leader).exists());
    assert!(wait_until(Duration::from_secs(60), gone)?, "PID 1 of the machine outlived its test");

    let _next = Machine::boot(Suite::Bookworm, &[])?;
    let left: Vec<_> = fs::read_dir("/var/tmp/airgap-deploy-machines")?
        .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
        .filter(|name| name.starts_with(&format!("airgap-deploy-{owner}-")))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
    Ok(())
}

#[test]
#[ignore = "needs root and systemd-nspawn; run by `make acceptance`"]
fn a_trace_sees_who_looks_outside_and_who_does_not() -> Result<()> {
    let machine = Machine::boot(Suite::Bookworm, &[])?;
    assert_eq!(sockets::interfaces(machine.leader())?, ["lo"]);
    machine.add_user("alice")?;

    let kept = tempfile::tempdir()?;
    let evidence = kept.path().join("trace");
    let quiet = Tracer::attach(&machine)?;
    machine.must(&["useradd", "--system", "quiet"])?;
    machine.must(&["systemctl", "daemon-reload"])?;
    assert_eq!(Counters::of(machine.leader())?, Counters { datagrams: 0, no_routes: 0 });
    let seen = quiet.finish(&evidence)?;
    assert!(seen.iter().any(|event| event.family == "AF_UNIX"), "the trace saw nothing at all");
    let internet: Vec<_> = seen.iter().filter(|event| event.is_internet()).collect();
    assert!(internet.is_empty(), "{internet:#?}");

    for url in ["http://192.0.2.1/", "http://[2001:db8::1]/", "http://registry.example/"] {
        let before = Counters::of(machine.leader())?;
        let tracer = Tracer::attach(&machine)?;
        assert_ne!(machine.run_as("alice", &["curl", "--silent", "--show-error", url])?.code, 0, "{url} answered");
        let seen = tracer.finish(&evidence)?;
        let after = Counters::of(machine.leader())?;
        let outside = seen.iter().any(Event::leaves_loopback);
        assert!(outside || after != before, "{url} was not seen in {seen:#?}, {after:?}");
        if url.contains("192.0.2.1") {
            assert!(outside && after.no_routes > before.no_routes, "{url}: {after:?}");
        }
        if url.contains("registry") {
            assert!(after.datagrams > before.datagrams, "a name look-up was not counted: {after:?}");
        }
    }
    Ok(())
}

#[test]
#[ignore = "needs root and Apache; run by `make acceptance`"]
fn the_server_serves_files_and_parts_of_files() -> Result<()> {
    let server = Server::start()?;
    fs::write(server.files().join("data.bin"), "0123456789")?;
    let bound = Duration::from_secs(30);
    let whole = succeed(&mut argv(&["curl", "--silent", "--fail", &server.url("data.bin")])?, bound)?;
    assert_eq!(whole.stdout, "0123456789");
    let part = succeed(&mut argv(&["curl", "--silent", "--fail", "--range", "4-", &server.url("data.bin")])?, bound)?;
    assert_eq!(part.stdout, "456789");
    assert!(server.requests().contains("GET /data.bin HTTP/1.1 206 6"), "{}", server.requests());
    Ok(())
}
