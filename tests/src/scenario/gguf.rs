//! GGUF files that the builder takes for chat models: a header, one tensor, and as much data as the tensor has.
//! Source of the format: the GGUF specification of ggml. No Ollama would answer from them.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use anyhow::Result;

const CHATML: &str = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + message['content'] \
                      + '<|im_end|>' + '\n'}}{% endfor %}";

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}

fn text_pair(key: &str, value: &str) -> Vec<u8> {
    [text(key), 8_u32.to_le_bytes().to_vec(), text(value)].concat()
}

fn number_pair(key: &str, value: u32) -> Vec<u8> {
    [text(key), 4_u32.to_le_bytes().to_vec(), value.to_le_bytes().to_vec()].concat()
}

/// Everything before the data of one tensor of `floats` 32-bit numbers.
fn header(name: &str, floats: u64) -> Vec<u8> {
    let pairs = [
        text_pair("general.architecture", "llama"),
        text_pair("general.type", "model"),
        text_pair("general.name", name),
        number_pair("general.file_type", 0),
        number_pair("llama.block_count", 1),
        text_pair("tokenizer.chat_template", CHATML),
    ];
    file(&pairs, floats)
}

/// The header of a file with these keys and one tensor.
fn file(pairs: &[Vec<u8>], floats: u64) -> Vec<u8> {
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend((pairs.len() as u64).to_le_bytes());
    bytes.extend(pairs.concat());
    bytes.extend(text("output.weight"));
    bytes.extend(1_u32.to_le_bytes());
    bytes.extend(floats.to_le_bytes());
    bytes.extend(0_u32.to_le_bytes());
    bytes.extend(0_u64.to_le_bytes());
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    bytes
}

/// A file with these keys and one tensor of 8 floats: a model, an adapter or a projector, by what the keys say.
pub fn small(texts: &[(&str, &str)], numbers: &[(&str, u32)]) -> Vec<u8> {
    let texts = texts.iter().map(|(key, value)| text_pair(key, value));
    let pairs: Vec<Vec<u8>> = texts.chain(numbers.iter().map(|(key, value)| number_pair(key, *value))).collect();
    let mut bytes = file(&pairs, 8);
    bytes.resize(bytes.len() + 32, 7);
    bytes
}

/// A model whose weights, `size` bytes, do not compress.
pub fn noise(name: &str, size: usize) -> Vec<u8> {
    let mut bytes = header(name, size as u64 / 4);
    let mut state = 1_u64;
    bytes.extend(
        std::iter::repeat_with(|| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        })
        .take(size / 4 * 4),
    );
    bytes
}

/// Writes a model of at least `size` bytes whose weights are a hole in the file.
///
/// # Errors
/// It cannot be written.
pub fn sparse(path: &Path, size: u64) -> Result<u64> {
    let header = header("sparse", size / 4);
    let length = header.len() as u64 + size / 4 * 4;
    let mut file = File::create(path)?;
    file.write_all(&header)?;
    file.set_len(length)?;
    Ok(length)
}
