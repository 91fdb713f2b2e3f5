//! The table of tensors: how many elements there are and where the last one's data ends.
//! The tensors themselves are never read.

use std::collections::BTreeSet;
use std::io::{Read, Seek};

use super::GgufError;
use super::reader::Reader;

/// What an entry of the table takes at least: length of the name, dimensions, type, offset.
pub(super) const MIN_LENGTH: u64 = 24;
/// ggml's `GGML_MAX_DIMS`.
const MAX_DIMENSIONS: u32 = 4;

/// ggml has some thirty types.
const MAX_TYPES: usize = 64;

/// What the table says as a whole.
pub(super) struct Extent {
    pub(super) elements: u64,
    /// ggml's numbers of the types that occur.
    pub(super) types: BTreeSet<u32>,
    /// End of the last tensor's data, in bytes from the start of the data.
    data_length: u64,
    /// The tensor that ends there.
    last: u64,
}

/// Reads `count` entries.
pub(super) fn read_all(reader: &mut Reader<impl Read + Seek>, count: u64) -> Result<Extent, GgufError> {
    let mut extent = Extent { elements: 0, types: BTreeSet::new(), data_length: 0, last: 0 };
    for number in 1..=count {
        let (elements, end, kind) = read_entry(reader, number)?;
        // The types are few; a file that makes them up is not read into memory.
        if extent.types.len() < MAX_TYPES {
            extent.types.insert(kind);
        }
        extent.elements = extent.elements.checked_add(elements).ok_or_else(|| impossible(number))?;
        if end > extent.data_length {
            (extent.data_length, extent.last) = (end, number);
        }
    }
    Ok(extent)
}

/// Elements of a tensor, where its data ends, and its type.
fn read_entry(reader: &mut Reader<impl Read + Seek>, number: u64) -> Result<(u64, u64, u32), GgufError> {
    reader.skip_text("the name of a tensor")?;
    let dimensions = reader.u32("the dimensions of a tensor")?;
    if dimensions > MAX_DIMENSIONS {
        let problem = format!("tensor {number} has {dimensions} dimensions; at most {MAX_DIMENSIONS} exist");
        return Err(GgufError::Truncated(problem));
    }
    let mut elements: u64 = 1;
    for _ in 0..dimensions {
        let dimension = reader.u64("a dimension of a tensor")?;
        elements = elements.checked_mul(dimension).ok_or_else(|| impossible(number))?;
    }
    let kind = reader.u32("the type of a tensor")?;
    let offset = reader.u64("the offset of a tensor")?;
    let (block, bytes) = layout(kind).unwrap_or((1, 0));
    let length = elements.div_ceil(block).checked_mul(bytes).ok_or_else(|| impossible(number))?;
    Ok((elements, offset.checked_add(length).ok_or_else(|| impossible(number))?, kind))
}

fn impossible(number: u64) -> GgufError {
    GgufError::Truncated(format!("tensor {number} is larger than any file"))
}

/// Elements of a block, and its bytes, by ggml's type number. `None` for a type this list does not know: such a
/// tensor must at least begin inside the file.
fn layout(kind: u32) -> Option<(u64, u64)> {
    Some(match kind {
        0 | 26 => (1, 4),
        1 | 25 | 30 => (1, 2),
        2 | 20 => (32, 18),
        3 => (32, 20),
        4 | 39 => (32, 17),
        6 => (32, 22),
        7 => (32, 24),
        8 => (32, 34),
        9 => (32, 36),
        10 => (256, 84),
        11 | 21 => (256, 110),
        12 => (256, 144),
        13 => (256, 176),
        14 => (256, 210),
        15 => (256, 292),
        16 | 35 => (256, 66),
        17 => (256, 74),
        18 => (256, 98),
        19 => (256, 50),
        22 => (256, 82),
        23 => (256, 136),
        24 => (1, 1),
        27 | 28 => (1, 8),
        29 => (256, 56),
        34 => (256, 54),
        _ => return None,
    })
}

/// What ggml calls a type, by its number.
pub(super) fn name(kind: u32) -> String {
    let name = match kind {
        4 => "Q4_2 or MXFP4",
        5 => "Q4_3",
        31 => "Q4_0_4_4",
        32 => "Q4_0_4_8",
        33 => "Q4_0_8_8",
        36 => "IQ4_NL_4_4",
        37 => "IQ4_NL_4_8",
        38 => "IQ4_NL_8_8",
        40 => "NVFP4",
        _ => return kind.to_string(),
    };
    format!("{kind} ({name})")
}

impl Extent {
    /// Compares the end of the data, which begins at the next multiple of `alignment` after the table's `end`, with
    /// the file's `size`, and returns it.
    pub(super) fn check(&self, end: u64, alignment: u64, size: u64) -> Result<u64, GgufError> {
        if self.last == 0 {
            return Ok(end);
        }
        let start = end.checked_next_multiple_of(alignment).ok_or_else(|| impossible(self.last))?;
        let data_end = start.checked_add(self.data_length).ok_or_else(|| impossible(self.last))?;
        if data_end > size {
            let missing = data_end - size;
            return Err(GgufError::Truncated(format!(
                "the data of tensor {} ends at byte {data_end}, the file at byte {size} ({missing} bytes are missing)",
                self.last
            )));
        }
        Ok(data_end)
    }
}
