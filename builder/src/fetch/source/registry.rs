//! Ollama's registry: the manifest of a model, its token, and where its blobs are.
//! Reading and printing the manifest is `oci.rs`; fetching blobs is `transfer.rs`.

use payload::Digest;
use url::Url;

use crate::fetch::cache::Info;
use crate::fetch::error::SourceError;
use crate::fetch::named::NamedComponent;
use crate::fetch::net::fault::Fault;
use crate::fetch::net::http::{Authorization, Get};
use crate::fetch::net::login::Login;
use crate::fetch::net::policy::{is_loopback, shown};
use crate::fetch::source::oci::{self, Blob, ModelManifest};
use crate::fetch::transfer::{Fetcher, Order};
use crate::manifest::ModelName;
use crate::small_file;

/// What a request to a registry needs beside the model's name.
#[derive(Debug, Clone)]
pub(crate) struct Access {
    /// The registry decides by it whether the model suits that version of Ollama.
    pub user_agent: String,
    pub login: Login,
}

/// A model's manifest, and what its blobs need.
#[derive(Debug)]
pub(crate) struct Model {
    pub manifest: ModelManifest,
    /// Of the manifest's bytes as the registry serves them.
    pub digest: Digest,
    pub size: u64,
    pub url: Url,
    pub final_host: Option<String>,
    authorization: Option<Authorization>,
}

/// The registry's address of `model`: HTTPS, or HTTP on this machine.
pub(crate) fn manifest_url(about: &NamedComponent, model: &ModelName) -> Result<Url, SourceError> {
    address(model, &["manifests", &model.tag]).map_err(|problem| {
        let name = model.display_shortest();
        about.not_found(name, problem, "correct source.model in the manifest".to_owned())
    })
}

fn address(model: &ModelName, rest: &[&str]) -> Result<Url, String> {
    let wrong = |error: url::ParseError| format!("{:?} is not a registry: {error}", model.host);
    let mut url = Url::parse(&format!("https://{}/", model.host)).map_err(wrong)?;
    if is_loopback(&url) {
        url = Url::parse(&format!("http://{}/", model.host)).map_err(wrong)?;
    }
    match url.path_segments_mut() {
        Ok(mut path) => {
            path.pop_if_empty().extend(["v2", &model.namespace, &model.model]).extend(rest);
        }
        Err(()) => return Err(format!("{:?} is not a registry", model.host)),
    }
    Ok(url)
}

/// The model's manifest: from the cache when the lock file pins it, else from the registry.
pub(crate) fn resolve(
    fetcher: &Fetcher<'_>,
    about: &NamedComponent,
    model: &ModelName,
    pinned: Option<Digest>,
    access: &Access,
) -> Result<Model, SourceError> {
    let url = manifest_url(about, model)?;
    if let Some(digest) = pinned
        && let Some((path, _)) = fetcher.cache.verified(digest, &|_| ())?
    {
        let bytes = small_file::read(&path, small_file::BY_PROGRAMS).map_err(SourceError::disk("read", path))?;
        return finish(about, url, &bytes, None, None);
    }
    if fetcher.offline {
        let problem = "its manifest is not in the cache, and --offline forbids fetching it".to_owned();
        return Err(about.refused(&url, problem, "run the same command once without --offline"));
    }
    let mut get = get(url.clone(), access).with("accept", oci::ACCEPT);
    let answer = fetcher
        .ask(&about.component, &mut get, fetcher.retry)
        .map_err(|fault| explain(about, model, access, &url, &fault))?;
    let model = finish(about, url, &answer.bytes, answer.final_host, get.authorization)?;
    if let Some(digest) = pinned.filter(|digest| *digest != model.digest) {
        let told = (model.digest, "the registry, under the same tag");
        return Err(about.contradiction(shown(&model.url), (digest, crate::lock::LOCK_FILE_NAME), told));
    }
    let info = Info { name: format!("{} (manifest)", about.component), url: shown(&model.url) };
    fetcher.cache.store(&answer.bytes, &info)?;
    Ok(model)
}

fn get(url: Url, access: &Access) -> Get {
    let mut get = Get::new(url).with("user-agent", access.user_agent.clone());
    get.login = Some(access.login.clone());
    get
}

fn finish(
    about: &NamedComponent,
    url: Url,
    bytes: &[u8],
    final_host: Option<String>,
    authorization: Option<Authorization>,
) -> Result<Model, SourceError> {
    let manifest = oci::parse(bytes).map_err(|problem| SourceError::Network {
        component: about.component.clone(),
        location: shown(&url),
        problem,
        hint: "check with `ollama show` that this is a model that runs locally".to_owned(),
    })?;
    Ok(Model { manifest, digest: Digest::of(bytes), size: bytes.len() as u64, url, final_host, authorization })
}

/// The registry's own refusals say more than a status code.
fn explain(about: &NamedComponent, model: &ModelName, access: &Access, url: &Url, fault: &Fault) -> SourceError {
    match fault {
        Fault::Status { code: 412, excerpt, .. } => SourceError::Refused {
            component: about.component.clone(),
            location: shown(url),
            problem: format!(
                "the registry says that this model needs a newer Ollama than {}: {excerpt}",
                access.user_agent
            ),
            hint: "raise source.tag of the Ollama component to a newer release, or choose an older tag of the model"
                .to_owned(),
        },
        Fault::Status { code: 404, .. } => about.not_found(
            shown(url),
            format!("the registry has no model {}", model.display_shortest()),
            "correct source.model (NAME:TAG, or HOST/NAMESPACE/NAME:TAG); the registry's web site lists names and tags"
                .to_owned(),
        ),
        _ => about.fault(url, fault),
    }
}

impl Model {
    /// Config first, then the layers, as orders.
    pub(crate) fn orders(
        &self,
        about: &NamedComponent,
        name: &ModelName,
        access: &Access,
    ) -> Result<Vec<Order>, SourceError> {
        self.manifest.blobs().map(|blob| self.order(about, name, access, blob)).collect()
    }

    fn order(
        &self,
        about: &NamedComponent,
        name: &ModelName,
        access: &Access,
        blob: &Blob,
    ) -> Result<Order, SourceError> {
        let digest = blob.digest.to_string();
        let url = address(name, &["blobs", &digest])
            .map_err(|problem| about.not_found(digest.clone(), problem, String::new()))?;
        let mut get = get(url, access);
        get.authorization.clone_from(&self.authorization);
        Ok(Order {
            about: about.clone(),
            name: blob.digest.blob_name(),
            label: format!("{} ({})", about.component, blob.kind()),
            get,
            expected: Some(blob.digest),
            size: Some(blob.size),
            unread: false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(host: &str) -> ModelName {
        let text = str::to_owned;
        ModelName { host: text(host), namespace: text("library"), model: text("llama2"), tag: text("7b") }
    }

    #[test]
    fn addresses_are_https_except_on_this_machine() {
        let url = |host| address(&model(host), &["manifests", "7b"]).unwrap().to_string();
        assert_eq!(url("registry.ollama.ai"), "https://registry.ollama.ai/v2/library/llama2/manifests/7b");
        assert_eq!(url("127.0.0.1:5000"), "http://127.0.0.1:5000/v2/library/llama2/manifests/7b");
        assert_eq!(url("127.evil.example"), "https://127.evil.example/v2/library/llama2/manifests/7b");
        assert_eq!(
            address(&model("r"), &["blobs", "sha256:00"]).unwrap().as_str(),
            "https://r/v2/library/llama2/blobs/sha256:00"
        );
    }
}
