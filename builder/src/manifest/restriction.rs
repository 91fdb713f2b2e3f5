//! The restrictions that a service which runs Ollama is started under, by the names that systemd has for them, and which
//! of them a manifest switches off (`relax`). Why each is there is told in `docs/hardening.md`.

use payload::RelPath;
use toml::Spanned;

use super::diagnostic::{Diagnostic, Reported};
use super::reader::Reader;
use super::vocabulary::nearest;

/// Stands for all of them.
const ALL: &str = "all";

/// One directive of systemd, and what it is set to; several values are several lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restriction {
    pub name: &'static str,
    values: &'static [&'static str],
}

const fn on(name: &'static str) -> Restriction {
    Restriction { name, values: &["yes"] }
}

const fn set(name: &'static str, values: &'static [&'static str]) -> Restriction {
    Restriction { name, values }
}

/// In the order of the drop-in.
pub const RESTRICTIONS: [Restriction; 24] = [
    on("NoNewPrivileges"),
    set("CapabilityBoundingSet", &[""]),
    set("AmbientCapabilities", &[""]),
    set("ProtectSystem", &["strict"]),
    on("ProtectHome"),
    on("PrivateTmp"),
    set("DevicePolicy", &["closed"]),
    on("ProtectKernelTunables"),
    on("ProtectKernelModules"),
    on("ProtectKernelLogs"),
    on("ProtectControlGroups"),
    on("ProtectClock"),
    on("ProtectHostname"),
    set("ProtectProc", &["invisible"]),
    set("RestrictAddressFamilies", &["AF_UNIX AF_INET AF_INET6"]),
    on("RestrictNamespaces"),
    on("RestrictRealtime"),
    on("RestrictSUIDSGID"),
    on("LockPersonality"),
    on("MemoryDenyWriteExecute"),
    on("RemoveIPC"),
    set("SystemCallArchitectures", &["native"]),
    set("SystemCallFilter", &["@system-service", "~@privileged"]),
    set("UMask", &["0077"]),
];

/// What computes, by vendor: the nodes of NVIDIA, those of AMD and of every other GPU, and the one of WSL.
const GPUS: [&str; 4] = ["char-nvidia* rw", "char-drm rw", "char-kfd rw", "/dev/dxg rw"];
/// Where homes are: a prefix in one of them must stay visible.
const HOMES: [&str; 3] = ["home", "root", "run/user"];

/// What a manifest switches off.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Relax(Vec<String>);

impl Relax {
    /// The lines of a drop-in for a service with its home at `prefix`.
    pub fn lines(&self, prefix: &RelPath) -> Vec<String> {
        let in_a_home =
            HOMES.iter().filter_map(|home| home.parse().ok()).any(|home: RelPath| prefix.starts_with(&home));
        let kept = RESTRICTIONS.iter().filter(|one| !self.0.iter().any(|off| off == one.name || off == ALL));
        let kept = kept.filter(|one| one.name != "ProtectHome" || !in_a_home);
        kept.flat_map(|one| {
            let lines = one.values.iter().map(|value| format!("{}={value}", one.name));
            lines.chain(one.exceptions(prefix))
        })
        .collect()
    }
}

impl Restriction {
    /// What it leaves open, because Ollama needs it.
    fn exceptions(&self, prefix: &RelPath) -> Vec<String> {
        match self.name {
            "ProtectSystem" => {
                let writable = [".ollama", "models"].map(|name| format!("-{prefix}/{name}"));
                let mut lines = writable.map(|path| format!("ReadWritePaths={}", quoted(&path))).to_vec();
                // CUDA keeps what it compiled in the home, where nothing can be written now.
                lines.push(format!("Environment={}", quoted(&format!("CUDA_CACHE_PATH={prefix}/.ollama/cuda"))));
                lines
            }
            "DevicePolicy" => GPUS.iter().map(|gpu| format!("DeviceAllow={gpu}")).collect(),
            // Refused, not killed: what tries goes on without.
            "SystemCallFilter" => vec!["SystemCallErrorNumber=EPERM".to_owned()],
            _ => Vec::new(),
        }
    }
}

/// Quoted as systemd.syntax(7) wants it; `%` would start a specifier.
pub fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('%', "%%"))
}

/// `relax = ["…"]` of `[install]`.
pub(super) fn relax(reader: &Reader<'_>) -> Result<Relax, Reported> {
    let Some(list) = reader.texts("relax").transpose()? else { return Ok(Relax::default()) };
    let read: Vec<Result<String, Reported>> = list.iter().map(|name| known(reader, name)).collect();
    Ok(Relax(read.into_iter().collect::<Result<_, _>>()?))
}

fn known(reader: &Reader<'_>, name: &Spanned<&str>) -> Result<String, Reported> {
    let given = *name.get_ref();
    let names = || RESTRICTIONS.iter().map(|one| one.name).chain([ALL]);
    if names().any(|name| name == given) {
        return Ok(given.to_owned());
    }
    let diagnostic = Diagnostic::error(name.span(), format!("{given:?} is not a restriction that can be switched off"));
    let help = match nearest(given, names()) {
        _ if ["IPAddressDeny", "IPAddressAllow"].contains(&given) => "`ip_allow` widens it, or drops it".to_owned(),
        Some(near) => format!("did you mean {near:?}?"),
        None => format!("one of {}", names().collect::<Vec<_>>().join(", ")),
    };
    Err(reader.findings.error(diagnostic.help(help)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(prefix: &str, off: &[&str]) -> Vec<String> {
        Relax(off.iter().map(|name| (*name).to_owned()).collect()).lines(&prefix.parse().unwrap())
    }

    #[test]
    fn what_ollama_needs_stays_open() {
        let all = lines("opt/ollama", &[]);
        for line in [
            "ReadWritePaths=\"-/opt/ollama/.ollama\"",
            "ReadWritePaths=\"-/opt/ollama/models\"",
            "DeviceAllow=char-nvidia* rw",
            "DeviceAllow=char-kfd rw",
            "DeviceAllow=char-drm rw",
            "SystemCallErrorNumber=EPERM",
        ] {
            assert!(all.iter().any(|has| has == line), "{line}");
        }
        assert!(!all.iter().any(|line| line.starts_with("PrivateDevices") || line.starts_with("ProcSubset")));
    }

    #[test]
    fn each_is_switched_off_with_what_belongs_to_it() {
        for restriction in RESTRICTIONS {
            let left = lines("opt/ollama", &[restriction.name]);
            assert!(
                !left.iter().any(|line| line.starts_with(&format!("{}=", restriction.name))),
                "{}",
                restriction.name
            );
        }
        assert!(!lines("opt/ollama", &["DevicePolicy"]).iter().any(|line| line.starts_with("DeviceAllow")));
        assert!(!lines("opt/ollama", &["ProtectSystem"]).iter().any(|line| line.starts_with("ReadWritePaths")));
        assert_eq!(lines("opt/ollama", &["all"]), Vec::<String>::new());
    }

    #[test]
    fn a_prefix_in_a_home_stays_visible() {
        assert!(lines("opt/home", &[]).contains(&"ProtectHome=yes".to_owned()));
        for prefix in ["home/me/ollama", "root/x", "run/user/5"] {
            assert!(!lines(prefix, &[]).contains(&"ProtectHome=yes".to_owned()), "{prefix}");
        }
    }
}
