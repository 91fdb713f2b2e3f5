//! Chunks on their way to the disk past the page cache, in threads of their own: nobody copies them, and no memory is needed
//! for what nobody reads again soon. Which bytes go where in the file is decided in `emit.rs`.

use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use nix::errno::Errno;
use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use payload::{ALIGNMENT, Shared, disk};

use crate::background::Background;

/// So that the disk has something to do while one write ends and the next begins.
const WRITERS: usize = 2;

/// Who writes them, and whose turn it is. There is nobody any more when something could not be written.
pub(super) struct Direct {
    writers: Vec<Background<(Shared, u64), Writer>>,
    turn: usize,
}

struct Writer {
    /// Opened with `O_DIRECT`, until the file system turns out not to take that.
    direct: Option<File>,
    file: File,
    outcome: io::Result<()>,
}

impl Direct {
    /// `None` where the file system has no such way (open(2)).
    pub(super) fn of(file: &File) -> Option<Self> {
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        let flags = OFlag::O_WRONLY | OFlag::O_DIRECT | OFlag::O_CLOEXEC;
        let direct = open(path.as_str(), flags, Mode::empty()).map(File::from).ok()?;
        let writer = || {
            let writer = Writer { direct: Some(direct.try_clone()?), file: file.try_clone()?, outcome: Ok(()) };
            Background::new(writer, Writer::take)
        };
        let writers = (0..WRITERS).map(|_| writer()).collect::<io::Result<_>>().ok()?;
        Some(Self { writers, turn: 0 })
    }

    /// Whether these bytes can go that way: whole pages of memory, to whole blocks of the file.
    pub(super) fn takes(bytes: &[u8], at: u64) -> bool {
        let places = [bytes.as_ptr().addr() as u64, bytes.len() as u64, at];
        !bytes.is_empty() && places.iter().all(|place| place.is_multiple_of(ALIGNMENT))
    }

    /// Writes all of `bytes` at `at`; an error may be told only later.
    pub(super) fn write(&mut self, bytes: &Shared, at: u64) -> io::Result<()> {
        self.turn = (self.turn + 1) % WRITERS;
        let handed = self.writers.get(self.turn).map(|writer| writer.add((Arc::clone(bytes), at)));
        if let Some(Ok(())) = handed { Ok(()) } else { Err(self.failure()) }
    }

    /// Waits until everything is written.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        let failed = self.writers.is_empty() || self.writers.iter().any(|writer| writer.settle().is_err());
        if failed { Err(self.failure()) } else { Ok(()) }
    }

    fn failure(&mut self) -> io::Error {
        let mut first = None;
        for writer in self.writers.drain(..) {
            if let Err(error) = writer.finish().outcome {
                first.get_or_insert(error);
            }
        }
        first.unwrap_or_else(|| io::Error::other("what was written before could not be written"))
    }
}

impl Writer {
    fn take(&mut self, (bytes, at): (Shared, u64)) -> ControlFlow<()> {
        self.outcome = self.write((*bytes).as_ref(), at);
        if self.outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    }

    fn write(&mut self, bytes: &[u8], at: u64) -> io::Result<()> {
        if let Some(direct) = &self.direct {
            match direct.write_all_at(bytes, at) {
                Err(error) if error.raw_os_error() == Some(Errno::EINVAL as i32) => self.direct = None,
                outcome => return outcome,
            }
        }
        disk::write_all_at(&self.file, bytes, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(count: u8) -> Vec<u8> {
        (0..count).flat_map(|number| vec![number; usize::try_from(ALIGNMENT).unwrap()]).collect()
    }

    /// These bytes, where a page begins.
    fn aligned(content: &[u8]) -> Shared {
        let page = usize::try_from(ALIGNMENT).unwrap();
        let mut bytes: Vec<u8> = Vec::with_capacity(content.len() + page);
        let begin = bytes.as_ptr().align_offset(page);
        bytes.resize(begin, 0);
        bytes.extend_from_slice(content);
        Arc::new(Behind(bytes, begin))
    }

    struct Behind(Vec<u8>, usize);

    impl AsRef<[u8]> for Behind {
        fn as_ref(&self) -> &[u8] {
            &self.0[self.1..]
        }
    }

    #[test]
    fn what_goes_past_the_page_cache_is_what_was_given_also_where_it_cannot() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create_new(directory.path().join("file")).unwrap();
        file.write_all_at(b"what stands before", 0).unwrap();
        let (one, other) = (aligned(&pages(3)), aligned(&pages(5)[..9999]));
        assert!(Direct::takes((*one).as_ref(), ALIGNMENT) && !Direct::takes((*one).as_ref(), 512));
        assert!(!Direct::takes((*other).as_ref(), ALIGNMENT) && !Direct::takes(&[], 0));
        let mut direct = Direct::of(&file).unwrap();
        direct.write(&one, ALIGNMENT).unwrap();
        // No whole pages: the system refuses these, and they are written nevertheless.
        direct.write(&other, 4 * ALIGNMENT).unwrap();
        direct.settle().unwrap();
        let mut expected = b"what stands before".to_vec();
        expected.resize(usize::try_from(ALIGNMENT).unwrap(), 0);
        expected.extend([&pages(3)[..], &pages(5)[..9999]].concat());
        assert!(std::fs::read(directory.path().join("file")).unwrap() == expected);
    }

    #[test]
    fn what_cannot_be_written_is_said_at_the_latest_when_it_has_to_be_there() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"").unwrap();
        let writer = Writer { direct: None, file: File::open(&path).unwrap(), outcome: Ok(()) };
        let mut direct = Direct { writers: vec![Background::new(writer, Writer::take).unwrap()], turn: WRITERS - 1 };
        let told = direct.write(&aligned(&pages(1)), 0).and_then(|()| direct.settle());
        assert_eq!(told.unwrap_err().raw_os_error(), Some(Errno::EBADF as i32));
        assert!(direct.write(&aligned(&pages(1)), 0).is_err() && direct.settle().is_err());
    }
}
