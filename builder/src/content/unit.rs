//! systemd units: which files are some, which of them run Ollama, and the drop-in beside those.
//! Where their content comes from is decided in `place/config.rs`; reloading systemd is the stub's business.

use payload::names::DROP_IN;
use payload::{PathError, RelPath, UNIT_DIRECTORIES};

use crate::manifest::{Install, IpAllow, quoted};

/// What a configuration file is to systemd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Unit,
    /// A file in a unit's `.d` directory.
    DropIn,
    Config,
}

/// The unit types (systemd.unit(5)).
const SUFFIXES: [&str; 11] = [
    ".service",
    ".socket",
    ".device",
    ".mount",
    ".automount",
    ".swap",
    ".target",
    ".path",
    ".timer",
    ".slice",
    ".scope",
];

/// What the file at `path` is to systemd.
pub(crate) fn kind(path: &RelPath) -> Kind {
    let is_unit =
        |path: &RelPath| in_unit_directory(path) && SUFFIXES.iter().any(|suffix| path.name().ends_with(suffix));
    if is_unit(path) {
        return Kind::Unit;
    }
    let unit = path.parent().and_then(|directory| directory.as_str().strip_suffix(".d").map(str::to_owned));
    let unit = unit.and_then(|unit| unit.parse::<RelPath>().ok());
    if path.name().strip_suffix(".conf").is_some() && unit.is_some_and(|unit| is_unit(&unit)) {
        Kind::DropIn
    } else {
        Kind::Config
    }
}

fn in_unit_directory(path: &RelPath) -> bool {
    path.parent().is_some_and(|directory| UNIT_DIRECTORIES.contains(&directory.as_str()))
}

/// Whether the unit at `path` with this `text` is a service that starts Ollama: a word of an `ExecStart=` line is a
/// program named `ollama`, or one of `programs`, however it is wrapped.
pub(crate) fn runs_ollama(path: &RelPath, text: &str, programs: &[RelPath]) -> bool {
    if !path.name().ends_with(".service") {
        return false;
    }
    let joined = text.replace("\\\n", " ");
    let commands =
        joined.lines().filter_map(|line| line.trim().split_once('=')).filter(|(key, _)| key.trim() == "ExecStart");
    let words = commands.flat_map(|(_, command)| command.split_whitespace());
    words.map(|word| word.trim_matches(['"', '\'', '-', '@', ':', '+', '!', '|'])).any(|word| {
        let is_program = |program: &RelPath| word.strip_prefix('/') == Some(program.as_str());
        word.rsplit('/').next() == Some("ollama") || programs.iter().any(is_program)
    })
}

/// Where the drop-in of the unit `name` goes: always below `/etc`, where it wins wherever the unit itself is.
pub(crate) fn drop_in_path(name: &str) -> Result<RelPath, PathError> {
    format!("etc/systemd/system/{name}.d/{DROP_IN}").parse()
}

/// The drop-in of a service that runs Ollama from the prefix: home and store there, nothing deleted at start, no cloud,
/// packets from and to allowed addresses alone, and the restrictions that are not switched off.
pub(crate) fn drop_in(install: &Install) -> String {
    let prefix = &install.prefix;
    let mut lines = vec![
        "# Settings of an Ollama without a network; a drop-in of a later name overrides them.".to_owned(),
        "[Service]".to_owned(),
        environment("HOME", &prefix.to_string()),
        environment("OLLAMA_MODELS", &format!("{prefix}/models")),
        environment("OLLAMA_NOPRUNE", "1"),
        environment("OLLAMA_NO_CLOUD", "1"),
    ];
    lines.extend(addresses(&install.ip_allow));
    lines.extend(install.relax.lines(prefix));
    lines.join("\n") + "\n"
}

fn addresses(ip_allow: &IpAllow) -> Vec<String> {
    let more: &[String] = match ip_allow {
        IpAllow::Any => return Vec::new(),
        IpAllow::Localhost => &[],
        IpAllow::Also(more) => more,
    };
    let fixed = ["IPAddressDeny=any", "IPAddressAllow=localhost"].map(str::to_owned);
    fixed.into_iter().chain(more.iter().map(|address| format!("IPAddressAllow={address}"))).collect()
}

/// One assignment.
fn environment(name: &str, value: &str) -> String {
    format!("Environment={}", quoted(&format!("{name}={value}")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::Relax;

    fn path(text: &str) -> RelPath {
        text.parse().unwrap()
    }

    #[test]
    fn units_drop_ins_and_other_files_are_told_apart() {
        for directory in payload::UNIT_DIRECTORIES {
            assert_eq!(kind(&path(&format!("{directory}/ollama.service"))), Kind::Unit);
        }
        assert_eq!(kind(&path("etc/systemd/system/backup.timer")), Kind::Unit);
        assert_eq!(kind(&path("etc/systemd/system/ollama.service.d/override.conf")), Kind::DropIn);
        assert_eq!(kind(&path("etc/systemd/system/ollama.service.d/README")), Kind::Config);
        assert_eq!(kind(&path("etc/systemd/system/notes.txt")), Kind::Config);
        assert_eq!(kind(&path("opt/ollama/ollama.service")), Kind::Config);
        assert_eq!(kind(&path("etc/systemd/user/ollama.service")), Kind::Config);
    }

    #[test]
    fn only_services_that_start_ollama_are_closed_in() {
        let service = path("etc/systemd/system/x.service");
        let runs =
            |command: &str| runs_ollama(&service, &format!("[Service]\nExecStart={command}\n"), &[path("srv/llm")]);
        for yes in [
            "/opt/ollama/bin/ollama serve",
            "-/opt/ollama/bin/ollama serve",
            "/usr/bin/numactl --interleave=all /opt/ollama/bin/ollama serve",
            "/bin/sh -c \"ollama serve\"",
            "/usr/bin/env \\\n  /opt/ollama/bin/ollama serve",
            "/srv/llm serve",
        ] {
            assert!(runs(yes), "{yes}");
        }
        assert!(!runs("/usr/bin/rsync /opt/ollama/models backup:/srv"));
        assert!(!runs_ollama(&path("etc/systemd/system/ollama.timer"), "ExecStart=/bin/ollama", &[]));
        assert!(!runs_ollama(&service, "[Unit]\nDescription=ollama\n# ExecStart=/bin/ollama\n", &[]));
    }

    fn install(prefix: &str, ip_allow: IpAllow) -> Install {
        Install { prefix: path(prefix), account: None, ip_allow, command: None, relax: Relax::default() }
    }

    #[test]
    fn the_drop_in_closes_the_network_and_names_the_store() {
        let text = drop_in(&install("opt/ollama", IpAllow::Localhost));
        assert_eq!(
            text.lines().skip(1).take(8).collect::<Vec<_>>(),
            [
                "[Service]",
                "Environment=\"HOME=/opt/ollama\"",
                "Environment=\"OLLAMA_MODELS=/opt/ollama/models\"",
                "Environment=\"OLLAMA_NOPRUNE=1\"",
                "Environment=\"OLLAMA_NO_CLOUD=1\"",
                "IPAddressDeny=any",
                "IPAddressAllow=localhost",
                "NoNewPrivileges=yes",
            ]
        );
        assert!(text.ends_with("UMask=0077\n"));
    }

    #[test]
    fn ip_allow_widens_or_drops_the_restriction() {
        let more = IpAllow::Also(vec!["10.0.0.0/8".to_owned(), "fd00::/8".to_owned()]);
        let more = drop_in(&install("o", more));
        assert!(more.contains("\nIPAddressAllow=localhost\nIPAddressAllow=10.0.0.0/8\nIPAddressAllow=fd00::/8\n"));
        assert!(!drop_in(&install("o", IpAllow::Any)).contains("IPAddress"));
    }

    #[test]
    fn strange_prefixes_are_quoted() {
        let text = drop_in(&install("opt/100% \"my\\ai\"", IpAllow::Any));
        assert!(text.contains("Environment=\"HOME=/opt/100%% \\\"my\\\\ai\\\"\"\n"), "{text}");
        assert!(text.contains("ReadWritePaths=\"-/opt/100%% \\\"my\\\\ai\\\"/models\"\n"), "{text}");
    }
}
