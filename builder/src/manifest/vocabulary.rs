//! Every key a manifest may have, and for which types.
//! What the values must look like is checked where they are read; what they mean is told in `docs/manifest.md`.

/// A key and where it may stand.
pub(super) struct Key {
    pub(super) name: &'static str,
    /// The component or source types that have it; empty when all have.
    pub(super) types: &'static [&'static str],
}

/// The keys of one kind of table.
pub(super) struct Vocabulary {
    /// Where the table stands, as one refers to it in a sentence.
    pub(super) place: &'static str,
    pub(super) keys: &'static [Key],
}

pub(super) const EXTERNAL_BINARY: &str = "external-binary";
pub(super) const MODEL_FILE: &str = "model-file";
pub(super) const CONFIG_FILE: &str = "config-file";
pub(super) const COMPONENT_TYPES: &[&str] = &[EXTERNAL_BINARY, MODEL_FILE, CONFIG_FILE];

pub(super) const GITHUB_RELEASE: &str = "github-release";
pub(super) const URL: &str = "url";
pub(super) const FILE: &str = "file";
pub(super) const OLLAMA_REGISTRY: &str = "ollama-registry";
pub(super) const SOURCE_TYPES: &[&str] = &[GITHUB_RELEASE, URL, FILE, OLLAMA_REGISTRY];

pub(super) const ROOT: Vocabulary =
    Vocabulary { place: "the manifest", keys: &[any("package"), any("install"), any("components")] };

pub(super) const PACKAGE: Vocabulary =
    Vocabulary { place: "[package]", keys: &[any("name"), any("version"), any("description"), any("allowed_hosts")] };

pub(super) const INSTALL: Vocabulary = Vocabulary {
    place: "[install]",
    keys: &[any("prefix"), any("user"), any("group"), any("ip_allow"), any("relax"), any("command")],
};

pub(super) const COMPONENT: Vocabulary = Vocabulary {
    place: "[[components]]",
    keys: &[
        any("type"),
        any("name"),
        any("required"),
        any("install_path"),
        any("mode"),
        any("owner"),
        any("group"),
        any("source"),
        only("exclude", &[EXTERNAL_BINARY]),
        only("content", &[CONFIG_FILE]),
        only("model", &[MODEL_FILE]),
        only("template", &[MODEL_FILE]),
        only("system", &[MODEL_FILE]),
        only("params", &[MODEL_FILE]),
        only("license", &[MODEL_FILE]),
        only("adapter", &[MODEL_FILE]),
        only("projector", &[MODEL_FILE]),
        only("modelfile", &[MODEL_FILE]),
    ],
};

pub(super) const SOURCE: Vocabulary = Vocabulary {
    place: "source",
    keys: &[
        any("type"),
        any("checksum"),
        only("repo", &[GITHUB_RELEASE]),
        only("tag", &[GITHUB_RELEASE]),
        only("asset_pattern", &[GITHUB_RELEASE]),
        only("url", &[URL]),
        only("path", &[FILE]),
        only("model", &[OLLAMA_REGISTRY]),
    ],
};

/// The checksums of a source that is another one for each target.
pub(super) const CHECKSUM: Vocabulary = Vocabulary { place: "checksum", keys: &[any("x86_64"), any("aarch64")] };

/// `params` has Ollama's keys, which are in [`PARAMS`] with their types.
pub(super) const PARAMETERS: Vocabulary = Vocabulary { place: "params", keys: &[] };

/// What a value of `params` must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ParamType {
    Integer,
    Number,
    Boolean,
    Texts,
}

/// Ollama's model options, as its Modelfile reference names them.
pub(super) const PARAMS: &[(&str, ParamType)] = &[
    ("num_keep", ParamType::Integer),
    ("seed", ParamType::Integer),
    ("num_predict", ParamType::Integer),
    ("top_k", ParamType::Integer),
    ("top_p", ParamType::Number),
    ("min_p", ParamType::Number),
    ("typical_p", ParamType::Number),
    ("repeat_last_n", ParamType::Integer),
    ("temperature", ParamType::Number),
    ("repeat_penalty", ParamType::Number),
    ("presence_penalty", ParamType::Number),
    ("frequency_penalty", ParamType::Number),
    ("stop", ParamType::Texts),
    ("num_ctx", ParamType::Integer),
    ("num_batch", ParamType::Integer),
    ("num_gpu", ParamType::Integer),
    ("main_gpu", ParamType::Integer),
    ("use_mmap", ParamType::Boolean),
    ("num_thread", ParamType::Integer),
];

const fn any(name: &'static str) -> Key {
    Key { name, types: &[] }
}

const fn only(name: &'static str, types: &'static [&'static str]) -> Key {
    Key { name, types }
}

impl Key {
    /// Whether a table of this type may have the key; of an unknown type, every key may be meant.
    pub(super) fn suits(&self, kind: Option<&str>) -> bool {
        self.types.is_empty() || kind.is_none_or(|kind| self.types.contains(&kind))
    }
}

/// The candidate that `typed` most likely stands for.
pub(super) fn nearest<'a>(typed: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', ' '], "_");
    let typed = plain(typed);
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(&typed, &plain(candidate)), candidate))
        .filter(|(likeness, _)| *likeness > 0.82)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}

/// Where a key that does not stand here belongs, as one would write it there.
pub(super) fn elsewhere(name: &str, here: &Vocabulary) -> Option<String> {
    let has =
        |vocabulary: &Vocabulary| vocabulary.place != here.place && vocabulary.keys.iter().any(|key| key.name == name);
    if has(&SOURCE) && here.place == COMPONENT.place {
        return Some(format!("did you mean `source.{name}`?"));
    }
    let place = [&PACKAGE, &INSTALL, &COMPONENT, &SOURCE].into_iter().find(|&vocabulary| has(vocabulary))?.place;
    Some(format!("`{name}` is a key of {place}"))
}
