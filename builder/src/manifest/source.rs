//! `source`: where the content of a component comes from, and the digest it must have.
//! Fetching lives in the stage of the same name; nothing here looks at a disk or a network.

use std::path::PathBuf;

use globset::Glob;
use payload::Digest;
use toml::Spanned;
use toml::de::DeValue;
use url::{Host, Url};

use super::diagnostic::{Diagnostic, Reported};
use super::install::one_line;
use super::placeholder::{self, Braces};
use super::reader::{Read, Reader, did_you_mean};
use super::vocabulary::{self, CHECKSUM, MODEL_FILE, SOURCE, SOURCE_TYPES};
use super::{ModelName, Source, SourceKind};

const HELP: &str = "write `source = { type = \"url\", url = \"https://…\" }`";
const CHECKSUMS: &str = "write `checksum = { x86_64 = \"sha256:…\", aarch64 = \"sha256:…\" }`";

/// The source of a component of type `component`; `None` when there is none.
pub(super) fn source(reader: &Reader<'_>, component: Option<&str>) -> Option<Result<Source, Reported>> {
    Some(match reader.table("source", &SOURCE, HELP)? {
        Ok(table) => read(&table, component),
        Err(reported) => Err(reported),
    })
}

/// The source of what goes with a model, at `key`: the path of a file, or a table as `source` is one.
pub(super) fn part(reader: &Reader<'_>, key: &str) -> Option<Result<Source, Reported>> {
    let value = reader.get(key)?;
    if value.get_ref().as_str().is_some() {
        return Some(reader.text(key)?.and_then(|text| {
            let per_target = placeholder::stands_in(text.get_ref());
            path(reader, &text).map(|path| Source { kind: SourceKind::File { path }, checksum: None, per_target })
        }));
    }
    let help = format!("write `{key} = \"files/{key}.gguf\"`, or a table as `source` is one");
    Some(reader.table(key, &SOURCE, &help)?.and_then(|table| read(&table, Some(key))))
}

/// The type of a component's source, even when something else in the source is wrong.
pub(super) fn kind_as_written(reader: &Reader<'_>) -> Option<&'static str> {
    let given = reader.get("source")?.get_ref().get("type")?.get_ref().as_str()?;
    SOURCE_TYPES.iter().copied().find(|kind| *kind == given)
}

fn read(table: &Reader<'_>, component: Option<&str>) -> Result<Source, Reported> {
    let kind = kind(table, component);
    table.refuse_unknown(kind.as_ref().ok().copied());
    let per_target = per_target(table);
    let checksum = checksums(table, per_target);
    let kind = match kind? {
        vocabulary::GITHUB_RELEASE => github_release(table),
        vocabulary::URL => url(table).map(|url| SourceKind::Url { url }),
        vocabulary::FILE => file(table),
        _ => registry(table).map(|model| SourceKind::OllamaRegistry { model }),
    };
    Ok(Source { kind: kind?, checksum: checksum?, per_target })
}

/// Whether a placeholder stands in what is fetched.
fn per_target(table: &Reader<'_>) -> bool {
    let mut keys = ["tag", "asset_pattern", "url", "path"].into_iter();
    keys.any(|key| table.get(key).and_then(|value| value.get_ref().as_str()).is_some_and(placeholder::stands_in))
}

/// `checksum`: one, or one for each target where the source has a placeholder.
fn checksums(table: &Reader<'_>, per_target: bool) -> Result<Option<Digest>, Reported> {
    let Some(value) = table.get("checksum") else { return Ok(None) };
    let refuse = |message: &str, label: &str, help: &str| {
        Err(table.findings.error(Diagnostic::error(value.span(), message).label(label).help(help)))
    };
    match value.get_ref() {
        DeValue::Table(_) if per_target => {
            table.table("checksum", &CHECKSUM, CHECKSUMS).transpose()?.map(|each| of_target(&each)).transpose()
        }
        DeValue::Table(_) => refuse(
            "one source has one checksum",
            "a checksum for each architecture goes with a source that has a placeholder",
            "write `checksum = \"sha256:…\"`, or a placeholder such as `{goarch}` into the source",
        ),
        DeValue::String(_) if per_target => refuse(
            "one checksum cannot be right for both architectures",
            "the source has a placeholder: what it names is another file for each",
            CHECKSUMS,
        ),
        _ => table.text("checksum").transpose()?.map(|text| checksum(table, &text)).transpose(),
    }
}

/// All of them are looked at; that of the target must be there.
fn of_target(each: &Reader<'_>) -> Result<Digest, Reported> {
    each.refuse_unknown(None);
    let target = each.target.name();
    let given = CHECKSUM.keys.iter().filter_map(|key| Some((key.name, each.text(key.name)?)));
    let read = given.map(|(name, text)| text.and_then(|text| Ok((name, checksum(each, &text)?))));
    let read: Vec<Result<(&str, Digest), Reported>> = read.collect();
    let read: Vec<(&str, Digest)> = read.into_iter().collect::<Result<_, _>>()?;
    let of_target = read.into_iter().find(|(name, _)| *name == target).map(|(_, digest)| digest);
    of_target.ok_or_else(|| each.missing(target, &format!("the checksum of what is fetched with --target {target}")))
}

fn kind(table: &Reader<'_>, component: Option<&str>) -> Result<&'static str, Reported> {
    let help = format!("one of {}", SOURCE_TYPES.join(", "));
    let given = table.required_text("type", &help)?;
    let Some(kind) = SOURCE_TYPES.iter().copied().find(|kind| kind == given.get_ref()) else {
        let diagnostic = Diagnostic::error(given.span(), format!("unknown source type {:?}", given.get_ref()));
        return Err(table.findings.error(diagnostic.help(did_you_mean(given.get_ref(), SOURCE_TYPES))));
    };
    match component {
        Some(component) if kind == vocabulary::OLLAMA_REGISTRY && component != MODEL_FILE => {
            let message = format!("{component} cannot come from a model registry");
            let diagnostic = Diagnostic::error(given.span(), message).label("only a model-file can");
            Err(table.findings.error(diagnostic))
        }
        _ => Ok(kind),
    }
}

fn checksum(table: &Reader<'_>, text: &Spanned<&str>) -> Result<Digest, Reported> {
    let given = *text.get_ref();
    if let Ok(digest) = given.parse() {
        return Ok(digest);
    }
    let hex = given.strip_prefix("sha256:").unwrap_or(given);
    let label = match hex.split_once(':') {
        Some((algorithm, _)) => format!("{algorithm:?} is not supported, only sha256 is"),
        None if hex.len() == 64 => "it contains something else than 0-9 and a-f".to_owned(),
        None => format!("{hex:?} is {} long", characters(hex.chars().count())),
    };
    let diagnostic = Diagnostic::error(text.span(), "the checksum is not 64 hexadecimal digits").label(label);
    let help = "write \"sha256:\" and the 64 digits that the publisher states, or that `sha256sum FILE` prints";
    Err(table.findings.error(diagnostic.help(help)))
}

fn characters(count: usize) -> String {
    if count == 1 { "1 character".to_owned() } else { format!("{count} characters") }
}

fn github_release(table: &Reader<'_>) -> Result<SourceKind, Reported> {
    let repo =
        table.required_text("repo", "for example `repo = \"ollama/ollama\"`").and_then(|text| repo(table, &text));
    let tag = table.required_text("tag", "for example `tag = \"v0.15.0\"`").and_then(|text| {
        one_line(table.findings, &text, "tag")?;
        let text = placeholder::filled(table, &text, Braces::None)?;
        let usable = !text.get_ref().is_empty() && !text.get_ref().contains(char::is_whitespace);
        if usable {
            return Ok(text.into_inner());
        }
        let diagnostic = Diagnostic::error(text.span(), format!("{:?} is not the tag of a release", text.get_ref()));
        Err(table.findings.error(diagnostic.help("for example `tag = \"v0.15.0\"`")))
    });
    let pattern = table
        .required_text("asset_pattern", "for example `asset_pattern = \"ollama-linux-amd64\"`")
        .and_then(|text| glob(table, &text, "asset_pattern"));
    Ok(SourceKind::GithubRelease { repo: repo?, tag: tag?, asset_pattern: pattern? })
}

fn repo(table: &Reader<'_>, text: &Spanned<&str>) -> Result<String, Reported> {
    let given = *text.get_ref();
    if is_repo(given) {
        return Ok(given.to_owned());
    }
    let diagnostic = Diagnostic::error(text.span(), format!("{given:?} is not a repository, owner/name"));
    let path = given.trim_start_matches("https://").trim_start_matches("github.com/");
    let shorter: Vec<&str> = path.trim_end_matches(".git").split('/').take(2).collect();
    let help = match shorter.join("/") {
        shorter if is_repo(&shorter) => format!("write `repo = {shorter:?}`"),
        _ => "for example `repo = \"ollama/ollama\"`".to_owned(),
    };
    Err(table.findings.error(diagnostic.help(help)))
}

fn is_repo(text: &str) -> bool {
    let usable = |part: &str, extra: &[u8]| {
        !matches!(part, "" | "." | "..")
            && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || extra.contains(&byte))
    };
    text.split_once('/').is_some_and(|(owner, name)| usable(owner, b"_") && usable(name, b"._"))
}

/// A file name pattern that can be compiled, for the target.
pub(super) fn glob(table: &Reader<'_>, text: &Spanned<&str>, key: &str) -> Result<String, Reported> {
    one_line(table.findings, text, key)?;
    let given = placeholder::filled(table, text, Braces::Pattern)?.into_inner();
    let problem = match Glob::new(&given) {
        Ok(_) if given.trim().is_empty() => "it is empty".to_owned(),
        Ok(_) => return Ok(given),
        Err(error) => error.kind().to_string(),
    };
    let diagnostic = Diagnostic::error(text.span(), format!("`{key}` is not a usable pattern")).label(problem);
    Err(table.findings.error(diagnostic.help("`*` stands for any characters: \"ollama-linux-*.tar.zst\"")))
}

fn url(table: &Reader<'_>) -> Result<Url, Reported> {
    let text = table.required_text("url", "for example `url = \"https://example.org/model.gguf\"`")?;
    let text = placeholder::filled(table, &text, Braces::Url)?;
    let error =
        |message: String, help: String| Err(table.findings.error(Diagnostic::error(text.span(), message).help(help)));
    if text.get_ref().contains(|c: char| c.is_whitespace() || c.is_control()) {
        return error("the URL contains a space or a line break".to_owned(), "write a space as %20".to_owned());
    }
    let url = match Url::parse(text.get_ref()) {
        Ok(url) => url,
        Err(problem) => {
            return error(
                format!("this is not a URL: {problem}"),
                "for example \"https://example.org/model.gguf\"".to_owned(),
            );
        }
    };
    let scheme = url.scheme();
    if scheme == "http" && !is_loopback(&url) {
        return error(
            "plain HTTP is not accepted: anybody on the way could read and change it".to_owned(),
            "use https:// (http:// is for this machine's own addresses alone)".to_owned(),
        );
    }
    if !matches!(scheme, "https" | "http") || url.host().is_none() {
        let help = if scheme == "file" {
            "for a file on this machine: `source = { type = \"file\", path = \"…\" }`"
        } else {
            "use https://"
        };
        return error(format!("{scheme} URLs are not accepted"), help.to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        let diagnostic = Diagnostic::warning(text.span(), "the URL contains credentials")
            .label("the manifest becomes part of the package: whoever has the package can read them");
        table.findings.warn(
            diagnostic.help("use a URL without user name and password, or download the file and use `type = \"file\"`"),
        );
    }
    Ok(url)
}

/// Whether a URL names this machine: `localhost`, 127.0.0.0/8 or `::1`.
fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn file(table: &Reader<'_>) -> Result<SourceKind, Reported> {
    let text = table.required_text("path", "for example `path = \"files/model.gguf\"`, relative to the manifest")?;
    Ok(SourceKind::File { path: path(table, &text)? })
}

fn path(table: &Reader<'_>, text: &Spanned<&str>) -> Result<PathBuf, Reported> {
    if text.get_ref().is_empty() || text.get_ref().contains('\0') {
        let diagnostic = Diagnostic::error(text.span(), "this is not the path of a file");
        return Err(table
            .findings
            .error(diagnostic.help("a path relative to the manifest's directory, or an absolute one")));
    }
    Ok(PathBuf::from(placeholder::filled(table, text, Braces::None)?.into_inner()))
}

fn registry(table: &Reader<'_>) -> Result<ModelName, Reported> {
    let help = "for example `model = \"llama2:7b\"`";
    let text = table.required_text("model", help)?;
    let model: Read<ModelName> = table.required("model", help);
    let plain = text.get_ref().strip_prefix("http://").map(|rest| Url::parse(&format!("http://{rest}")));
    if let Some(Ok(url)) = plain
        && !is_loopback(&url)
    {
        let diagnostic =
            Diagnostic::error(text.span(), "plain HTTP is not accepted: anybody on the way could read and change it");
        return Err(table.findings.error(diagnostic.help("leave http:// out; HTTPS is used")));
    }
    model.map(Spanned::into_inner)
}
