//! Keeps this program and everything it starts off the network: a seccomp filter, set before anything else.
//! Local sockets (`AF_UNIX`, `AF_NETLINK`) stay open: account tools and systemctl need them.

use std::collections::BTreeMap;

use nix::libc;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
};

/// `__X32_SYSCALL_BIT` of the kernel's unistd.h.
const X32: i64 = 0x4000_0000;

/// From now on, `socket(2)` fails with `EACCES` for every other address family, here and in every child.
///
/// # Errors
/// A sentence, when this kernel has no seccomp.
pub fn enforce() -> Result<(), String> {
    let program = program().map_err(|error| error.to_string())?;
    seccompiler::apply_filter_all_threads(&program).map_err(|error| error.to_string())
}

fn program() -> Result<BpfProgram, seccompiler::BackendError> {
    // Two conditions in one rule must both hold: neither the one family nor the other.
    let other_families = SeccompRule::new(vec![not_family(libc::AF_UNIX)?, not_family(libc::AF_NETLINK)?])?;
    let rules = [
        (libc::SYS_socket, vec![other_families]),
        // An io_uring opens sockets without this filter seeing it.
        (libc::SYS_io_uring_setup, Vec::new()),
    ];
    // The same calls under the numbers of the x32 ABI, which a kernel may have beside its own.
    let x32 = rules.clone().map(|(number, rule)| (X32 | number, rule));
    let rules = rules.into_iter().chain(x32).collect::<BTreeMap<_, _>>();
    let refuse = SeccompAction::Errno(libc::EACCES.unsigned_abs());
    let arch = std::env::consts::ARCH.try_into()?;
    SeccompFilter::new(rules, SeccompAction::Allow, refuse, arch)?.try_into()
}

fn not_family(family: i32) -> Result<SeccompCondition, seccompiler::BackendError> {
    SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Ne, u64::from(family.unsigned_abs()))
}
