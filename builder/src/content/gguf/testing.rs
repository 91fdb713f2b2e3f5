//! A small writer of GGUF files, for tests.
//! Reading them is in `gguf.rs`.

/// A GGUF file in the making.
#[derive(Clone)]
pub(crate) struct Writer {
    pub(crate) version: u32,
    pairs: Vec<Vec<u8>>,
    tensors: Vec<Vec<u8>>,
    data: u64,
}

impl Writer {
    pub(crate) fn new(architecture: &str) -> Self {
        Self { version: 3, pairs: Vec::new(), tensors: Vec::new(), data: 0 }.text("general.architecture", architecture)
    }

    fn pair(mut self, key: &str, kind: u32, value: &[u8]) -> Self {
        self.pairs.push([&text(key), &kind.to_le_bytes()[..], value].concat());
        self
    }

    pub(crate) fn text(self, key: &str, value: &str) -> Self {
        self.pair(key, 8, &text(value))
    }

    pub(crate) fn u32(self, key: &str, value: u32) -> Self {
        self.pair(key, 4, &value.to_le_bytes())
    }

    pub(crate) fn u16(self, key: &str, value: u16) -> Self {
        self.pair(key, 2, &value.to_le_bytes())
    }

    pub(crate) fn texts(self, key: &str, values: &[&str]) -> Self {
        let mut bytes = [&8u32.to_le_bytes()[..], &(values.len() as u64).to_le_bytes()].concat();
        for value in values {
            bytes.extend(text(value));
        }
        self.pair(key, 9, &bytes)
    }

    pub(crate) fn numbers(self, key: &str, values: &[u32]) -> Self {
        let mut bytes = [&4u32.to_le_bytes()[..], &(values.len() as u64).to_le_bytes()].concat();
        bytes.extend(values.iter().flat_map(|value| value.to_le_bytes()));
        self.pair(key, 9, &bytes)
    }

    /// A tensor of 32-bit floats.
    pub(crate) fn tensor(self, name: &str, dimensions: &[u64]) -> Self {
        self.typed_tensor(name, dimensions, 0)
    }

    /// A tensor of ggml's type `kind`, with as much data as 32-bit floats have.
    pub(crate) fn typed_tensor(mut self, name: &str, dimensions: &[u64], kind: u32) -> Self {
        let mut bytes = text(name);
        bytes.extend(u32::try_from(dimensions.len()).unwrap().to_le_bytes());
        for dimension in dimensions {
            bytes.extend(dimension.to_le_bytes());
        }
        bytes.extend(kind.to_le_bytes());
        bytes.extend(self.data.to_le_bytes());
        self.data += dimensions.iter().product::<u64>() * 4;
        self.tensors.push(bytes);
        self
    }

    /// Everything before the data, padded when there is data.
    pub(crate) fn header(&self) -> Vec<u8> {
        let mut bytes = b"GGUF".to_vec();
        bytes.extend(self.version.to_le_bytes());
        bytes.extend((self.tensors.len() as u64).to_le_bytes());
        bytes.extend((self.pairs.len() as u64).to_le_bytes());
        bytes.extend(self.pairs.concat());
        bytes.extend(self.tensors.concat());
        if self.data > 0 {
            bytes.resize(bytes.len().next_multiple_of(32), 0);
        }
        bytes
    }

    pub(crate) fn data_length(&self) -> u64 {
        self.data
    }

    /// The whole file, its tensors zero.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.header();
        bytes.resize(bytes.len() + usize::try_from(self.data).unwrap(), 0);
        bytes
    }
}

fn text(value: &str) -> Vec<u8> {
    [&(value.len() as u64).to_le_bytes()[..], value.as_bytes()].concat()
}
