//! The seccomp filter bites: in the process that sets it, in its threads, and in every program it starts.
//! That the installer sets it before anything else is seen in `tests/tests/matrix.rs`.

#![expect(clippy::unwrap_used, reason = "these functions are parts of a test")]

use std::io::ErrorKind;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::process::Command;

/// Says which part of this test a process plays.
const ROLE: &str = "AIRGAP_DEPLOY_TEST_ROLE";
const SYS_SOCKET: i64 = 41;
const X32: i64 = 0x4000_0000;

fn play(test: &str, role: &str) -> bool {
    let own = std::env::current_exe().unwrap();
    Command::new(own).args(["--exact", test, "--nocapture"]).env(ROLE, role).status().unwrap().success()
}

fn refused<T>(attempt: std::io::Result<T>) -> bool {
    attempt.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
}

#[expect(unsafe_code, reason = "the system call under the number of another ABI has no safe name")]
fn x32_socket() -> (i64, std::io::Error) {
    // SAFETY: socket(2) takes three integers and touches no memory.
    let outcome = unsafe { nix::libc::syscall(X32 | SYS_SOCKET, nix::libc::AF_INET, nix::libc::SOCK_STREAM, 0) };
    (outcome, std::io::Error::last_os_error())
}

fn no_socket_leads_out() {
    assert!(refused(TcpListener::bind("127.0.0.1:0")));
    assert!(refused(TcpListener::bind("[::1]:0")));
    assert!(refused(TcpStream::connect("127.0.0.1:9")));
    assert!(refused(UdpSocket::bind("127.0.0.1:0")));
    UnixStream::pair().unwrap();
    if cfg!(target_arch = "x86_64") {
        let (outcome, error) = x32_socket();
        assert!(outcome == -1 && error.kind() == ErrorKind::PermissionDenied, "x32: {outcome} {error}");
    }
}

#[test]
fn neither_the_process_nor_what_it_starts_can_open_a_socket() {
    let name = "neither_the_process_nor_what_it_starts_can_open_a_socket";
    match std::env::var(ROLE).as_deref() {
        Ok("child") => {
            // A thread that is there before the filter is under it too.
            let (go, wait) = std::sync::mpsc::channel();
            let before = std::thread::spawn(move || wait.recv().map(|()| no_socket_leads_out()));
            stub::host::offline::enforce().unwrap();
            no_socket_leads_out();
            go.send(()).unwrap();
            before.join().unwrap().unwrap();
            assert!(play(name, "grandchild"));
        }
        Ok("grandchild") => no_socket_leads_out(),
        _ => {
            TcpListener::bind("127.0.0.1:0").unwrap();
            assert!(play(name, "child"));
        }
    }
}

#[test]
fn without_the_filter_the_same_attempts_succeed() {
    assert!(!refused(TcpListener::bind("127.0.0.1:0")));
    assert!(!refused(UdpSocket::bind("127.0.0.1:0")));
}
