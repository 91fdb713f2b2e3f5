//! A model in Ollama's layout, small enough for tests, and a storage that serves its blobs.
//! What is asked of it is in the tests.

use payload::Digest;

use super::server::{Answer, Request, Server};

/// A model: blobs by media type (config first), the manifest as served, and as a pull leaves it.
#[derive(Clone)]
pub(crate) struct Model {
    pub(crate) blobs: Vec<(&'static str, Vec<u8>)>,
    pub(crate) manifest: String,
    pub(crate) pulled: String,
}

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

impl Model {
    pub(crate) fn small() -> Self {
        Self::with_weights(super::content(70_000))
    }

    pub(crate) fn with_weights(weights: Vec<u8>) -> Self {
        let blobs = vec![
            ("application/vnd.docker.container.image.v1+json", br#"{"model_format":"gguf","os":"linux"}"#.to_vec()),
            ("application/vnd.ollama.image.model", weights),
            ("application/vnd.ollama.image.license", b"Free <of> charge & all".to_vec()),
            ("application/vnd.ollama.image.template", b"{{ .Prompt }}".to_vec()),
            ("application/vnd.ollama.image.params", br#"{"stop":["[INST]"]}"#.to_vec()),
        ];
        let layer = |(kind, bytes): &(&str, Vec<u8>)| {
            format!(r#"{{"mediaType":"{kind}","digest":"{}","size":{}}}"#, Digest::of(bytes), bytes.len())
        };
        let layers: Vec<_> = blobs[1..].iter().map(layer).collect();
        let config = layer(&blobs[0]);
        let pulled = format!(
            r#"{{"schemaVersion":2,"mediaType":"{MANIFEST}","config":{config},"layers":[{}]}}"#,
            layers.join(",")
        );
        // Served in another order, with white space and a field that Ollama drops.
        let manifest = format!(
            "{{\"schemaVersion\":2, \"annotations\": {{}},\n\"layers\":[{}],\n\"config\":{config}, \"mediaType\":\"{MANIFEST}\"}}\n",
            layers.join(", ")
        );
        Self { blobs, manifest, pulled }
    }
}

/// Serves `/sha256:<hex>`, ranges understood.
pub(crate) fn storage(model: Model) -> Server {
    Server::start(move |request| {
        let path = request.target.split('?').next().unwrap_or_default();
        let blob = model.blobs.iter().find(|(_, bytes)| path == format!("/{}", Digest::of(bytes)));
        blob.map_or_else(|| Answer::new(404, ""), |(_, bytes)| Answer::ranged(request, bytes, "\"blob\""))
    })
}

/// A registry for [`Model::small`], and the storage its blobs are redirected to: another host, another port.
pub(crate) fn registry(special: impl Fn(&Request) -> Option<Answer> + Send + Sync + 'static) -> (Server, Server) {
    let storage = storage(Model::small());
    let port = storage.address.port();
    let server = Server::start(move |request| {
        if let Some(answer) = special(request) {
            return answer;
        }
        let Some(path) = request.target.strip_prefix("/v2/library/llama2/") else { return Answer::new(404, "") };
        match path.split_once('/') {
            // As text/plain, which is what Ollama's registry says.
            Some(("manifests", "7b")) => Answer::ok(Model::small().manifest).with("content-type", "text/plain"),
            Some(("blobs", digest)) => {
                Answer::redirect(307, &format!("http://localhost:{port}/{digest}?X-Amz-Signature=secretsig"))
            }
            _ => Answer::new(404, r#"{"errors":[{"code":"MANIFEST_UNKNOWN"}]}"#),
        }
    });
    (server, storage)
}
