//! Copies a package, byte for byte, and compares every byte with the index on its way: to cut it, or to join its volumes.
//! Making a package is in `write.rs`; where the copy goes is the caller's business.

use std::io::Write;

use crate::format::layout::Region;
use crate::{Package, PayloadError, Watch};

impl Package {
    /// Writes the whole `.run` file.
    ///
    /// # Errors
    /// What [`Package::verify`] finds, except in compressed content; [`PayloadError::Write`] when `out` takes no more.
    pub fn copy(&self, out: &mut dyn Write, watch: Watch<'_>) -> Result<(), PayloadError> {
        let mut buffer = Vec::new();
        for (offset, region) in self.regions() {
            watch.go_on()?;
            match region {
                Region::Stub => put(out, &self.stub()?)?,
                Region::Index => put(out, &self.index_json()?)?,
                Region::Known { bytes, .. } => {
                    self.check(offset, region)?;
                    put(out, &bytes.bytes()?)?;
                }
                Region::Document(position) => put(out, &self.document(*position)?)?,
                Region::Blob(position) => {
                    for chunk in 0..self.chunk_count(*position) {
                        watch.go_on()?;
                        self.read_chunk(*position, chunk, &mut buffer)?;
                        put(out, &buffer)?;
                        (watch.progress)(buffer.len() as u64);
                    }
                }
            }
        }
        out.flush().map_err(PayloadError::write("the copy"))
    }
}

fn put(out: &mut dyn Write, bytes: &[u8]) -> Result<(), PayloadError> {
    out.write_all(bytes).map_err(PayloadError::write("the copy"))
}
