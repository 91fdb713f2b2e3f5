//! The configuration blob of a GGUF model, and the words in which Ollama states a model's size and quantisation.
//! The manifest that names the blob is in `model.rs`.

use crate::content::gguf::Gguf;

use super::{Layer, Part, json};
use crate::manifest::ModelSettings;

/// The configuration as `ollama create` writes it, with the newline at its end.
pub(super) fn of_gguf(gguf: &Gguf, parts: &[Part], settings: &ModelSettings, layers: &[Layer]) -> Vec<u8> {
    let families = std::iter::once(&gguf.architecture).chain(parts.iter().map(|part| &part.architecture));
    let mut fields = vec![
        ("model_format", json::text("gguf")),
        ("model_family", json::text(&gguf.architecture)),
        ("model_families", json::array(families.map(|family| json::text(family)))),
        ("model_type", json::text(&human_number(gguf.parameters))),
        ("file_type", json::text(file_type(gguf.file_type))),
    ];
    fields.extend(code(settings).into_iter().filter_map(|(name, value)| Some((name, json::text(value?)))));
    fields.extend([("architecture", json::text("amd64")), ("os", json::text("linux")), ("rootfs", rootfs(layers))]);
    let mut config = json::object(&fields);
    config.push('\n');
    config.into_bytes()
}

/// What a Modelfile says of the code in Ollama that a model needs.
pub(super) fn code(settings: &ModelSettings) -> [(&'static str, Option<&str>); 3] {
    [
        ("renderer", settings.renderer.as_deref()),
        ("parser", settings.parser.as_deref()),
        ("requires", settings.requires.as_deref()),
    ]
}

/// `rootfs`: the digests of all layers in their order.
pub(super) fn rootfs(layers: &[Layer]) -> String {
    let digests = json::array(layers.iter().map(|layer| json::text(&layer.digest.to_string())));
    json::object(&[("type", json::text("layers")), ("diff_ids", digests)])
}

/// A count as Ollama shows it: from 10⁹ `8B`, or `6.7B` with one decimal if not whole; from 10⁶ `125M`, or `135.52M` with
/// two; from 10³ `12K`, rounded; below as it is. Larger units do not exist: 10¹² is `1000B`.
#[expect(clippy::cast_precision_loss, reason = "Ollama computes with the same 64-bit floats, and shows the loss")]
pub(crate) fn human_number(count: u64) -> String {
    const THOUSAND: u64 = 1_000;
    const MILLION: u64 = 1_000_000;
    const BILLION: u64 = 1_000_000_000;
    let shown = |unit: u64, decimals: usize, suffix: &str| {
        let number = count as f64 / unit as f64;
        let decimals = if number.fract() == 0.0 { 0 } else { decimals };
        format!("{number:.decimals$}{suffix}")
    };
    match count {
        BILLION.. => shown(BILLION, 1, "B"),
        MILLION.. => shown(MILLION, 2, "M"),
        THOUSAND.. => shown(THOUSAND, 0, "K"),
        few => few.to_string(),
    }
}

/// Ollama's name for `general.file_type`. It has none for F32, whose number is 0, and for the IQ and TQ types.
pub(crate) fn file_type(number: Option<u32>) -> &'static str {
    match number {
        Some(1) => "F16",
        Some(2) => "Q4_0",
        Some(3) => "Q4_1",
        Some(4) => "MXFP4",
        Some(7) => "Q8_0",
        Some(8) => "Q5_0",
        Some(9) => "Q5_1",
        Some(10) => "Q2_K",
        Some(11) => "Q3_K_S",
        Some(12) => "Q3_K_M",
        Some(13) => "Q3_K_L",
        Some(14) => "Q4_K_S",
        Some(15) => "Q4_K_M",
        Some(16) => "Q5_K_S",
        Some(17) => "Q5_K_M",
        Some(18) => "Q6_K",
        Some(21) => "Q2_K_S",
        Some(32) => "BF16",
        _ => "unknown",
    }
}
