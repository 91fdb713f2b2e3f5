//! A model of a registry with other texts or parameters, as `ollama create` makes it from `FROM model`.
//! A model that is taken as it is never comes here: its manifest stays byte for byte.

use payload::Digest;
use serde_json::{Map, Value};

use crate::manifest::ModelSettings;

use super::{
    ADAPTER, CONFIG, LICENSE, Layer, MESSAGES, PARAMS, Part, SYSTEM, StoreEntries, TEMPLATE, config, json, manifest,
    messages, params, system,
};

/// What a registry says of a model.
pub(crate) struct Original<'a> {
    pub(crate) manifest: &'a [u8],
    pub(crate) config: &'a [u8],
    /// The bytes of its params layer.
    pub(crate) params: Option<&'a [u8]>,
}

/// The store entries of `original` with `settings` in place of its own.
///
/// # Errors
/// What is wrong with the registry's documents; completes a sentence that starts with the model's name.
pub(crate) fn overlay(
    original: &Original<'_>,
    parts: &[Part],
    settings: &ModelSettings,
) -> Result<StoreEntries, String> {
    let mut layers = layers(original.manifest)?;
    let mut blobs = Vec::new();
    for part in parts {
        // A model has one adapter; of projectors it may have several.
        layers.retain(|layer| layer.media_type != part.layer.media_type || part.layer.media_type != ADAPTER);
        layers.push(part.layer.clone());
    }
    let template = settings.template.as_deref().filter(|text| !text.is_empty());
    for (media_type, text) in [(TEMPLATE, template), (SYSTEM, system(settings))] {
        if let Some(text) = text {
            replace(&mut layers, media_type, text.as_bytes(), &mut blobs);
        }
    }
    for text in &settings.license {
        layers.push(Layer::of(LICENSE, text.as_bytes()));
        blobs.push(text.as_bytes().to_vec());
    }
    let mut merged: Map<String, Value> = object(original.params.unwrap_or(b"{}"), "params")?;
    merged.extend(settings.params.clone().unwrap_or_default());
    let (params, warnings) = params::merged(&[], Some(&merged));
    if let Some(params) = params {
        replace(&mut layers, PARAMS, &params, &mut blobs);
    }
    if let Some(messages) = messages(settings) {
        replace(&mut layers, MESSAGES, &messages, &mut blobs);
    }
    let config = new_config(original.config, parts, settings, &layers)?;
    let manifest = manifest(&Layer::of(CONFIG, &config), &layers);
    blobs.push(config);
    Ok(StoreEntries { blobs, manifest, warnings })
}

fn replace(layers: &mut Vec<Layer>, media_type: &str, bytes: &[u8], blobs: &mut Vec<Vec<u8>>) {
    layers.retain(|layer| layer.media_type != media_type);
    layers.push(Layer::of(media_type, bytes));
    blobs.push(bytes.to_vec());
}

fn object(bytes: &[u8], what: &str) -> Result<Map<String, Value>, String> {
    serde_json::from_slice(bytes).map_err(|error| format!("has a {what} document that is no JSON object: {error}"))
}

fn layers(manifest: &[u8]) -> Result<Vec<Layer>, String> {
    let document = object(manifest, "manifest")?;
    let layers = document.get("layers").and_then(Value::as_array).ok_or("has a manifest without layers")?;
    layers
        .iter()
        .map(|layer| parse(layer).ok_or_else(|| format!("has a manifest with a strange layer: {layer}")))
        .collect()
}

fn parse(layer: &Value) -> Option<Layer> {
    let digest: Digest = layer.get("digest")?.as_str()?.parse().ok()?;
    let media_type = layer.get("mediaType")?.as_str()?.to_owned();
    Some(Layer { media_type, digest, size: layer.get("size")?.as_u64()? })
}

/// The registry's configuration with the digests of the new layers; keys sorted, which Ollama does not mind.
fn new_config(config: &[u8], parts: &[Part], settings: &ModelSettings, layers: &[Layer]) -> Result<Vec<u8>, String> {
    let mut fields = object(config, "config")?;
    fields.remove("rootfs");
    if let Some(families) = fields.get_mut("model_families").and_then(Value::as_array_mut) {
        families.extend(parts.iter().map(|part| Value::from(part.architecture.as_str())));
    }
    for (name, value) in config::code(settings) {
        fields.extend(value.map(|value| (name.to_owned(), Value::from(value))));
    }
    let mut fields: Vec<(&str, String)> =
        fields.iter().map(|(name, field)| (name.as_str(), json::value(field))).collect();
    fields.push(("rootfs", config::rootfs(layers)));
    Ok((json::object(&fields) + "\n").into_bytes())
}
