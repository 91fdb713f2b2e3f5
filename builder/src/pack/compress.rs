//! How a blob is stored: raw when it does not get smaller, else xz in independent blocks that decode on all cores.
//! Where it is stored is in `pack.rs`; decoding is the stub's business.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;

use liblzma::stream::{Check, Filters, LzmaOptions, MtStreamBuilder};
use liblzma::write::XzEncoder;

/// Length of an xz block before compression: small enough to decode several at once in little memory.
const BLOCK: u64 = 4 << 20;
/// Reaches back this far for repetitions. More costs memory, on every thread, here and on the target.
const DICTIONARY: u32 = 1 << 20;
/// More threads cost more memory, and the bytes are the same.
const MAX_THREADS: u32 = 4;
const PRESET: u32 = 4;
/// Below this, a tar block is not worth saving.
const SMALL: u64 = 2048;
const SAMPLE: usize = 64 << 10;
const SAMPLES: u64 = 16;

/// Whether content gets so much smaller that decoding it is worth the time: samples of it decide.
pub fn pays(file: &File, size: u64) -> io::Result<bool> {
    if size < SMALL {
        return Ok(false);
    }
    let mut sample = Vec::new();
    let step = (size / SAMPLES).max(1);
    let mut buffer = vec![0; SAMPLE];
    for position in 0..SAMPLES {
        let offset = position * step;
        let count = read_up_to(file, offset, &mut buffer)?;
        sample.extend_from_slice(&buffer[..count.min(usize::try_from(step).unwrap_or(SAMPLE))]);
    }
    let mut encoder = encoder(Vec::new(), 1, 0)?;
    encoder.write_all(&sample)?;
    Ok(encoder.finish()?.len() < sample.len() / 10 * 9)
}

fn read_up_to(file: &File, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read_at(&mut buffer[filled..], offset + filled as u64)? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

/// Compresses `input` into `output`; the same bytes on every machine.
pub fn compress(input: &mut impl Read, output: &mut impl Write, threads: u32) -> io::Result<()> {
    let mut encoder = encoder(output, threads.clamp(1, MAX_THREADS), PRESET)?;
    io::copy(input, &mut encoder)?;
    encoder.finish()?.flush()
}

fn encoder<W: Write>(output: W, threads: u32, preset: u32) -> io::Result<XzEncoder<W>> {
    let mut options = LzmaOptions::new_preset(preset).map_err(io::Error::other)?;
    options.dict_size(DICTIONARY);
    let mut filters = Filters::new();
    filters.lzma2(&options);
    let stream = MtStreamBuilder::new()
        .threads(threads)
        .block_size(BLOCK)
        .filters(filters)
        .check(Check::Crc32)
        .encoder()
        .map_err(io::Error::other)?;
    Ok(XzEncoder::new_stream(output, stream))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn noise(length: usize) -> Vec<u8> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn noise_stays_raw_and_text_does_not() {
        let noise = noise(1 << 20);
        assert!(!pays(&file(&noise), noise.len() as u64).unwrap());
        let text = b"air gap ".repeat(100_000);
        assert!(pays(&file(&text), text.len() as u64).unwrap());
        assert!(!pays(&file(b"short"), 5).unwrap());
    }

    #[test]
    fn the_number_of_threads_does_not_change_a_byte() {
        let text = b"air gap ".repeat(2_000_000);
        let compressed = |threads| {
            let mut bytes = Vec::new();
            compress(&mut text.as_slice(), &mut bytes, threads).unwrap();
            bytes
        };
        let one = compressed(1);
        assert!(one.len() < text.len() / 100);
        assert_eq!(one, compressed(4));
    }
}
