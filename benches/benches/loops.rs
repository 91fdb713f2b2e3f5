//! The inner loops: comparing chunks, reading an index, writing an archive, reading the header of a GGUF file.
//! Whole runs against other tools are measured by `tools/bench.py`, instructions of a plan by `tests/tests/instructions.rs`.

use std::fs::{self, File};
use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use e2e::crash::draft::Draft;
use e2e::scenario::gguf;
use payload::index::Role;
use payload::{Index, Package, Trust, Watch};

const WEIGHTS: usize = 64 << 20;
const FILES: usize = 2000;
const WORDS: u64 = 128_000;

/// One file of weights that do not compress.
fn weights() -> Draft {
    let mut draft = Draft::new("1", "opt/demo", false).expect("a draft");
    draft.directory("opt").expect("a directory").directory("opt/demo").expect("a directory");
    let content = gguf::noise("bench", WEIGHTS);
    draft.file("opt/demo/m.gguf", Role::ModelBlob, 0o644, &content).expect("a file");
    draft
}

/// Many small files.
fn crowd() -> Draft {
    let mut draft = Draft::new("1", "opt/demo", false).expect("a draft");
    draft.directory("opt").expect("a directory").directory("opt/demo").expect("a directory");
    for number in 0..FILES {
        let path = format!("opt/demo/f{number}");
        draft.file(&path, Role::Config, 0o644, number.to_string().as_bytes()).expect("a file");
    }
    draft
}

fn chunks(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("weights.run");
    weights().write(&path).expect("a package");
    let length = fs::metadata(&path).expect("a file").len();
    let mut group = criterion.benchmark_group("chunks");
    group.sample_size(20).throughput(Throughput::Bytes(length));
    for workers in [1, 2] {
        group.bench_function(format!("verify with {workers} threads"), |bencher| {
            let package = Package::open(File::open(&path).expect("a file"), &Trust::nobody()).expect("a package");
            bencher.iter(|| package.verify(workers, Watch::nobody()).expect("it is whole"));
        });
    }
    group.finish();
}

fn index(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("crowd.run");
    crowd().write(&path).expect("a package");
    let package = Package::open(File::open(&path).expect("a file"), &Trust::nobody()).expect("a package");
    let json = package.index_json().expect("an index");
    let mut group = criterion.benchmark_group("index");
    group.throughput(Throughput::Elements(FILES as u64));
    group.bench_function("read and check", |bencher| {
        bencher.iter(|| Index::from_json(black_box(&json)).expect("an index"));
    });
    group.bench_function("seal", |bencher| {
        bencher.iter(|| payload::seal(package.index().clone(), None).expect("an index"));
    });
    group.finish();
}

fn archive(criterion: &mut Criterion) {
    let directory = tempfile::tempdir().expect("a directory");
    let draft = crowd();
    let path = directory.path().join("emitted.run");
    let mut group = criterion.benchmark_group("archive");
    group.sample_size(20).throughput(Throughput::Elements(FILES as u64));
    group.bench_function("write", |bencher| bencher.iter(|| draft.write(&path).expect("a package")));
    group.finish();
}

/// The header of a model without tensors, but with a vocabulary as large as real ones (GGUF, version 3).
fn vocabulary() -> Vec<u8> {
    let text = |value: &str| [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat();
    let (array, string) = (9_u32.to_le_bytes(), 8_u32.to_le_bytes());
    let mut bytes = [&b"GGUF"[..], &3_u32.to_le_bytes(), &0_u64.to_le_bytes(), &2_u64.to_le_bytes()].concat();
    bytes.extend([text("general.architecture"), string.to_vec(), text("llama")].concat());
    bytes.extend([text("tokenizer.ggml.tokens"), array.to_vec(), string.to_vec()].concat());
    bytes.extend(WORDS.to_le_bytes());
    bytes.extend((0..WORDS).flat_map(|number| text(&format!("word{number}"))));
    bytes.resize(bytes.len().next_multiple_of(32), 0);
    bytes
}

fn header(criterion: &mut Criterion) {
    let bytes = vocabulary();
    let mut group = criterion.benchmark_group("GGUF header");
    group.throughput(Throughput::Elements(WORDS));
    group.bench_function("read", |bencher| {
        bencher.iter(|| assert!(builder::fuzzing::gguf(black_box(&bytes)), "it is a header"));
    });
    group.finish();
}

criterion_group!(loops, chunks, index, archive, header);
criterion_main!(loops);
