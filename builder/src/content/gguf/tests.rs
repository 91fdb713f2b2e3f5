//! What is read from GGUF headers, and which files are refused.
//! Real bytes, made by `testing.rs`.

use std::io::Cursor;

use proptest::prelude::*;

use super::testing::Writer;
use super::{Gguf, GgufError, Memory, doubt, read, refusal};

fn parse(bytes: &[u8]) -> Result<Gguf, GgufError> {
    read(Cursor::new(bytes), bytes.len() as u64)
}

fn llama() -> Writer {
    Writer::new("llama")
        .u32("general.file_type", 15)
        .texts("tokenizer.ggml.tokens", &["a", "", "ü"])
        .u32("llama.block_count", 2)
        .text("tokenizer.chat_template", "{% for m in messages %}")
        .tensor("a", &[3, 5])
        .tensor("b", &[7])
}

fn why(bytes: &[u8]) -> String {
    parse(bytes).unwrap_err().to_string()
}

#[test]
fn the_header_is_understood() {
    let bytes = llama().bytes();
    let gguf = parse(&bytes).unwrap();
    assert_eq!((gguf.version, gguf.architecture.as_str(), gguf.kind.as_str()), (3, "llama", "model"));
    assert_eq!((gguf.file_type, gguf.parameters, gguf.tensors), (Some(15), 22, 2));
    assert_eq!(gguf.chat_template.as_deref(), Some("{% for m in messages %}"));
    assert_eq!((gguf.pooling, gguf.shards, gguf.blocks, gguf.vision_blocks), (false, 0, 2, 0));
    assert_eq!(gguf.data_end, bytes.len() as u64);
    assert_eq!(refusal(&gguf, true, None), None);
}

#[test]
fn keys_below_the_architecture_are_found_wherever_it_stands() {
    let mut late = Writer::new("x");
    late = late.u32("bert.pooling_type", 1).text("general.architecture", "bert");
    assert!(parse(&late.bytes()).unwrap().pooling);
    let other = Writer::new("llama").u32("bert.pooling_type", 1);
    assert!(!parse(&other.bytes()).unwrap().pooling);
}

#[test]
fn a_file_type_of_another_width_does_not_count() {
    assert_eq!(parse(&Writer::new("llama").u16("general.file_type", 2).bytes()).unwrap().file_type, None);
}

#[test]
fn whatever_is_not_gguf_is_named_for_what_it_is() {
    assert!(why(b"\n<!DOCTYPE html><html>").contains("web page"));
    assert!(why(b"version https://git-lfs.github.com/spec/v1\n").contains("Git LFS pointer"));
    assert!(why(b"tjgg\x03\0\0\0").contains("older GGML"));
    assert!(why(b"").contains("is empty"));
    assert!(why(b"PK\x03\x04").contains("is not a GGUF file"));
}

#[test]
fn versions_that_do_not_load_are_refused() {
    let with = |version: u32| {
        let mut writer = llama();
        writer.version = version;
        writer.bytes()
    };
    assert!(parse(&with(2)).is_ok());
    assert!(why(&with(1)).contains("version 1"));
    assert!(why(&with(4)).contains("version 4"));
    assert!(why(&with(3u32.swap_bytes())).contains("big-endian"));
}

#[test]
fn every_truncation_is_noticed() {
    let bytes = llama().bytes();
    for length in 8..bytes.len() {
        let error = parse(&bytes[..length]).unwrap_err();
        assert!(matches!(error, GgufError::Truncated(_)), "{length}: {error}");
    }
    let error = why(&bytes[..bytes.len() - 3]);
    assert!(error.contains("tensor 2") && error.contains("3 bytes are missing"), "{error}");
}

#[test]
fn what_is_no_model_of_its_own_is_refused_with_a_remedy() {
    let refused = |writer: Writer, chat: bool| refusal(&parse(&writer.bytes()).unwrap(), chat, None);
    let (problem, remedy) = refused(llama().u16("split.count", 3), false).unwrap();
    assert!(problem.contains("one of 3 files") && remedy.contains("llama-gguf-split --merge"));
    assert!(refused(llama().u16("split.count", 1), false).is_none());
    assert!(refused(llama().text("general.type", "adapter"), false).unwrap().0.contains("adapter"));
    assert!(refused(Writer::new("clip"), false).unwrap().0.contains("projector"));
    assert!(refused(Writer::new("x").u32("x.vision.block_count", 4), false).unwrap().0.contains("projector"));
    let embedding = Writer::new("bert").u32("bert.pooling_type", 1);
    assert!(refused(embedding.clone(), false).is_none());
    assert!(refused(embedding, true).unwrap().0.contains("embedding"));
}

#[test]
fn types_of_tensors_that_a_shipped_release_does_not_load_are_refused_and_are_a_doubt_elsewhere() {
    let with = |kind: u32| parse(&Writer::new("llama").typed_tensor("w", &[256], kind).bytes()).unwrap();
    assert_eq!(refusal(&with(39), false, Some("0.15.0")), None);
    let (problem, remedy) = refusal(&with(40), false, Some("0.15.0")).unwrap();
    assert_eq!(problem, "has tensors of the type 40 (NVFP4), which Ollama 0.15.0 in this package does not load");
    assert!(remedy.contains("another quantisation"), "{remedy}");
    assert_eq!((refusal(&with(40), false, None), refusal(&with(40), false, Some("0.99.0"))), (None, None));
    let doubted = doubt(&with(31), Some("0.99.0")).unwrap();
    assert!(doubted.contains("type 31 (Q4_0_4_4)") && doubted.contains("the newest release known here"), "{doubted}");
    assert!(doubt(&parse(&Writer::new("llama9").bytes()).unwrap(), None).unwrap().contains("\"llama9\""));
    assert_eq!((doubt(&with(12), None), doubt(&with(40), Some("0.15.0"))), (None, None));
    // What MXFP4 was called before ggml had a number for it: only one of Ollama's engines takes it.
    assert!(refusal(&with(4), false, Some("0.15.0")).is_some());
    let gpt_oss = parse(&Writer::new("gptoss").typed_tensor("w", &[256], 4).bytes()).unwrap();
    assert_eq!(refusal(&gpt_oss, false, Some("0.15.0")), None);
}

#[test]
fn memory_is_that_of_weights_cache_and_work() {
    let llama_2 = Writer::new("llama")
        .u32("llama.block_count", 32)
        .u32("llama.context_length", 4096)
        .u32("llama.embedding_length", 4096)
        .u32("llama.attention.head_count", 32)
        .u32("llama.attention.head_count_kv", 32)
        .texts("tokenizer.ggml.tokens", &vec!["t"; 32_000]);
    let memory = |writer: &Writer, context| Memory::estimate(&parse(&writer.bytes()).unwrap(), 1000, context);
    // 2 GiB of keys and values, and 303 MB to compute: what Ollama itself says of this model.
    let expected = Memory { weights: 1000, cache: 2 << 30, work: 2048 * (4 * 4096 + 4096 * 33), context: 4096 };
    assert_eq!(memory(&llama_2, 4096), Some(expected));
    assert_eq!(memory(&llama_2, 1 << 30), Some(expected), "more than it was trained for");
    assert_eq!(expected.total(), 1000 + (2 << 30) + 310_378_496);
    let short = memory(&llama_2, 2048).unwrap();
    assert_eq!((short.cache, short.context), (1 << 30, 2048));
    // One list for all blocks; the second is recurrent, and so are those with no heads.
    let mixed = Writer::new("x")
        .u32("x.block_count", 3)
        .u32("x.embedding_length", 64)
        .u32("x.attention.key_length", 16)
        .u32("x.attention.value_length", 8)
        .u32("x.attention.head_count", 4)
        .numbers("x.attention.head_count_kv", &[2, 0, 1]);
    assert_eq!(memory(&mixed, 100).unwrap().cache, 2 * 100 * 24 * 3);
    // It does not say how large its layers are: the weights are known all the same.
    let silent = Memory { weights: 1000, cache: 0, work: 0, context: 100 };
    assert_eq!(memory(&Writer::new("x").u32("x.block_count", 3), 100), Some(silent));
    let absurd = mixed.clone().u32("x.embedding_length", u32::MAX);
    assert!(memory(&absurd, u64::MAX).is_none());
}

#[test]
fn four_gibibytes_of_tensors_are_not_read() {
    let writer = Writer::new("llama").tensor("w", &[1 << 30]);
    let mut file = tempfile::tempfile().unwrap();
    std::io::Write::write_all(&mut file, &writer.header()).unwrap();
    let size = writer.header().len() as u64 + writer.data_length();
    file.set_len(size).unwrap();
    std::io::Seek::rewind(&mut file).unwrap();
    let gguf = read(&file, size).unwrap();
    assert_eq!((gguf.parameters, gguf.data_end), (1 << 30, size));
    assert!(std::io::Seek::stream_position(&mut file).unwrap() <= 64 << 10);
}

#[test]
fn lengths_beyond_the_file_allocate_nothing() {
    for at in [8, 16, 24] {
        let mut bytes = llama().bytes();
        bytes[at..at + 8].copy_from_slice(&(u64::MAX / 2).to_le_bytes());
        assert!(why(&bytes).contains("truncated or damaged"), "count at {at}");
    }
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = parse(&[b"GGUF\x03\0\0\0", &bytes[..]].concat());
        let _ = parse(&bytes);
    }

    #[test]
    fn mutated_files_never_panic(changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = llama().bytes();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if let Ok(gguf) = parse(&bytes) {
            prop_assert!(gguf.data_end <= bytes.len() as u64);
        }
    }
}
