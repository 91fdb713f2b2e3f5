//! What every exit code means, and what the errors of the use case are: cause, what to look at, what to do, all offline.
//! Builder and stub print this one table; which error has which code is decided where the error is defined.

/// One exit code, or one error that has a name of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Explanation {
    pub exit_code: u8,
    /// As the programs print it.
    pub name: &'static str,
    pub cause: &'static str,
    pub look_at: &'static str,
    pub remedy: &'static str,
}

impl Explanation {
    /// All of it for a terminal.
    pub fn lines(&self) -> Vec<String> {
        vec![
            format!("exit code {}: {}", self.exit_code, self.name),
            format!("cause:   {}", self.cause),
            format!("look at: {}", self.look_at),
            format!("do:      {}", self.remedy),
        ]
    }
}

/// What is known under `asked`, which is an exit code or the words of an error; the general meaning first.
pub fn explain(asked: &str) -> Vec<&'static Explanation> {
    let asked = asked.trim();
    let by_code = |found: &&Explanation| asked.parse() == Ok(found.exit_code);
    let by_name = |found: &&Explanation| found.name.eq_ignore_ascii_case(asked);
    EXPLANATIONS.iter().filter(|found| by_code(found) || by_name(found)).collect()
}

const fn entry(
    exit_code: u8,
    name: &'static str,
    cause: &'static str,
    look_at: &'static str,
    remedy: &'static str,
) -> Explanation {
    Explanation { exit_code, name, cause, look_at, remedy }
}

/// Everything, by exit code.
pub const EXPLANATIONS: &[Explanation] = &[
    entry(0, "done", "the program did what was asked", "its last lines: they say what to type next", "nothing"),
    entry(
        1,
        "bug",
        "a mistake in the program itself",
        "the message; after an installation --status, which says what state the machine is in",
        "keep the message and report it; x.run --recover goes back to the state before an unfinished installation",
    ),
    entry(
        2,
        "usage",
        "the command line has a mistake",
        "--help: it lists every option",
        "correct what was typed; nothing was done",
    ),
    entry(
        10,
        "payload damaged",
        "bytes of the package are not the ones that were packed: a bad copy, a bad medium, or no package at all. A file \
         that was cut inside its program cannot say so: it ends with SIGSEGV, SIGBUS or \"Exec format error\"",
        "sha256sum of the file here and where it was built; builder verify FILE on the connected side",
        "copy it again from where it was built, and compare with x.run --verify",
    ),
    entry(
        11,
        "not trusted",
        "this machine trusts certain keys, and none of them signed the package as it is: it is unsigned, signed by another \
         or a revoked key, or was changed; or users other than root can change a key's file",
        "the message; /etc/airgap-deploy/trusted-keys/ and revoked-keys/ beside it; builder inspect FILE where it was built",
        "ask for a package signed by a trusted key; or, when two persons have compared the words of its key's fingerprint, put \
         the key into trusted-keys/, owned by root, mode 0644",
    ),
    entry(
        12,
        "format not readable",
        "the package, or what an installation left, is of a version that this program does not know",
        "the version that the message names; --version of both programs",
        "use the program of that version, or build the package again with the builder that belongs to this one",
    ),
    entry(
        20,
        "Permission denied",
        "installing changes the system, and only root may",
        "id -u: it says 0 for root",
        "run it with sudo; --dry-run shows the plan without root",
    ),
    entry(
        21,
        "incompatible host",
        "the package was built for another architecture, or its programs need a newer glibc",
        "uname -m and ldd --version here; builder inspect FILE where it was built",
        "build a package for this machine: another asset_pattern or --target, or an older release of the program",
    ),
    entry(
        22,
        "Out of disk space",
        "the disk has less room than the package, the download or the build needs",
        "df -h of the directory in the message; x.run --dry-run says how much is needed where",
        "free space, or deploy smaller models; on the connected side, builder cache prune",
    ),
    entry(
        23,
        "conflict",
        "a file, an account or another installer is in the way",
        "what the message names; --status says whose a file is",
        "move it away, or use --replace, which keeps a backup; when another installer runs, wait for it",
    ),
    entry(
        24,
        "volume missing",
        "the package was cut into volumes, and one of them is not here",
        "the file names in the message",
        "put all volumes beside the first, or name their directories with --volumes DIR",
    ),
    entry(
        30,
        "failed, rolled back",
        "a step failed; the machine is as it was before",
        "the message above: it names the step and the reason",
        "remove the cause, then run --install again",
    ),
    entry(
        31,
        "failed, rollback incomplete",
        "a step failed, and not everything could be rolled back",
        "the list in the message: it names what is left",
        "remove the cause, then run --recover; it goes on where it stopped",
    ),
    entry(
        32,
        "uninstall left something",
        "somebody changed files since they were installed, or keeps other files beside them",
        "the list in the message",
        "look at what is left; --uninstall --purge removes it too, and can be previewed with --dry-run",
    ),
    entry(
        33,
        "Service failed to start",
        "the service ended right after its start, or does not answer, or one of its models does not; the message names the likely \
         cause: architecture, glibc, a missing library, a permission, a port in use, memory",
        "the lines of its journal in the message; journalctl -u UNIT, and systemctl status UNIT",
        "compare uname -m with the package's target (x86_64 or ARM); correct the configuration, then systemctl start UNIT; \
         with --rollback an installation is rolled back by itself when its service does not start",
    ),
    entry(
        40,
        "manifest invalid",
        "the manifest, or what it says of its sources, has mistakes",
        "file, line and column in the message; builder check FILE finds all of them without a network",
        "correct the manifest, and run the same command again",
    ),
    entry(
        41,
        "not found",
        "something that was named is not there: a file, a release, a model, an installed package",
        "the place that the message says it looked in",
        "correct the name, or put it there; for a package that is not installed there is nothing to do",
    ),
    entry(
        41,
        "Binary not found",
        "the release has no asset of that name for the platform, or the archive has no such member",
        "source.asset_pattern and install_path in the manifest; the message lists what there is",
        "correct the one that is wrong, and build again",
    ),
    entry(
        42,
        "checksum mismatch",
        "content arrived that is not what the manifest, the lock file or the publisher says",
        "both digests in the message; what the publisher states today",
        "run the same command again: damaged bytes were thrown away; if upstream changed, correct source.checksum",
    ),
    entry(
        42,
        "Model checksum mismatch",
        "the download was damaged, or somebody replaced the model",
        "both digests in the message; the model's page at its publisher",
        "fetch it again; if the publisher confirms the new digest, correct source.checksum",
    ),
    entry(
        43,
        "network",
        "a server did not answer, or a rule forbids asking it: --offline, allowed_hosts, not HTTPS",
        "the URL in the message; proxy settings (https_proxy, no_proxy)",
        "try again, use --mirror FROM=TO, or correct the rule; what was downloaded so far is kept",
    ),
    entry(
        44,
        "output",
        "a file, or the answer itself, could not be written, or would have overwritten something else",
        "the path in the message: does its directory exist, is it writable, is it something else",
        "name another file with --output PATH, or make room",
    ),
    entry(
        130,
        "interrupted",
        "somebody pressed Ctrl-C, or told the program to stop",
        "its last words: they say what is kept",
        "run the same command again; after an interrupted installation, --install goes on and --recover goes back",
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_the_errors_of_the_use_case_are_found_and_say_everything() {
        assert_eq!(explain("42").len(), 2);
        assert_eq!(explain(" binary NOT found ")[0].exit_code, 41);
        for name in [
            "Binary not found",
            "Model checksum mismatch",
            "Permission denied",
            "Service failed to start",
            "Out of disk space",
        ] {
            assert_eq!(explain(name).len(), 1, "{name}");
        }
        assert!(explain("7").is_empty() && explain("").is_empty());
        for one in EXPLANATIONS {
            assert!(
                one.lines().iter().all(|line| line.split_once(": ").is_some_and(|(_, text)| !text.trim().is_empty()))
            );
        }
        assert!(EXPLANATIONS.is_sorted_by_key(|one| one.exit_code));
    }
}
