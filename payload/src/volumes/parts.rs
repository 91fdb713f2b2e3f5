//! Where the bytes of a package come from: one file, or volumes that are read where they lie and never joined.
//! What the bytes mean, and which are right, is in `read.rs`; how volumes are cut and found in the files beside this one.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::PayloadError;
use crate::volumes::cut::{Cut, is_volume_size, volume_name};
use crate::volumes::find::{self, Piece};
use crate::volumes::proof::{self, Proof};

/// A volume, as people are told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    pub name: String,
    /// Counted from 1.
    pub number: usize,
    pub count: usize,
    pub length: u64,
}

impl fmt::Display for Volume {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, number, count, length } = self;
        write!(f, "{name} (volume {number} of {count}, {})", crate::size(*length))
    }
}

/// What to do when a volume is not where it was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    LookAgain,
    /// Look in this directory too.
    LookIn(PathBuf),
    Stop,
    /// This program was told to stop.
    Interrupted,
}

/// Asked for the next medium: which volume is wanted, and what is wrong with the one that was found, if one was.
pub type Ask = Box<dyn Fn(&Volume, Option<&str>) -> Answer + Send + Sync>;

/// One file, or volumes.
pub struct Parts {
    /// The file name of the package.
    pub(super) name: String,
    pub(super) cut: Option<Cut>,
    pub(super) proofs: Vec<Vec<Proof>>,
    open: Mutex<Vec<Option<Arc<Piece>>>>,
    search: Option<Search>,
}

struct Search {
    directories: Mutex<Vec<PathBuf>>,
    ask: Option<Ask>,
}

/// Why a volume could not be opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Absent {
    Nowhere,
    /// There is a file of that name, and this is wrong with it.
    Wrong(String, String),
}

impl From<File> for Parts {
    fn from(file: File) -> Self {
        let length = file.metadata().map_or(0, |facts| facts.len());
        Self::new("the package".to_owned(), Piece::inside(file, 0, length), None)
    }
}

impl Parts {
    fn new(name: String, first: Piece, search: Option<Search>) -> Self {
        Self { name, cut: None, proofs: Vec::new(), open: Mutex::new(vec![Some(Arc::new(first))]), search }
    }

    /// A package called `name`, whose first volume, or all of it, is `first`. Other volumes are looked for in
    /// `directories`; when one is not there, `ask` says what to do.
    pub fn volumes(name: String, first: Piece, directories: Vec<PathBuf>, ask: Option<Ask>) -> Self {
        Self::new(name, first, Some(Search { directories: Mutex::new(directories), ask }))
    }

    /// How many files there are.
    pub fn count(&self) -> usize {
        self.cut.map_or(1, Cut::count)
    }

    /// All volumes, in their order; none when the package is one file.
    pub fn all(&self) -> Vec<Volume> {
        let Some(cut) = self.cut else { return Vec::new() };
        (0..cut.count()).map(|volume| self.describe(cut, volume)).collect()
    }

    /// Looks once at every file that the package is in, one or several. Nobody is asked.
    pub fn look_at_all(&self) -> Vec<(Volume, Result<(), Absent>)> {
        let Some(cut) = self.cut else {
            let only = Volume { name: self.name.clone(), number: 1, count: 1, length: self.first_length() };
            return vec![(only, Ok(()))];
        };
        let look = |volume| self.look(&mut self.lock(), cut, volume).map(|_| ());
        (0..cut.count()).map(|volume| (self.describe(cut, volume), look(volume))).collect()
    }

    /// Looks once at every volume. Nobody is asked.
    ///
    /// # Errors
    /// [`PayloadError::Missing`] names all that are not there now, [`PayloadError::Volume`] a file with the name of a volume that is
    /// none of this package, [`PayloadError::Volumes`] everything, where there is more than that.
    pub fn require_all(&self) -> Result<(), PayloadError> {
        let (mut missing, mut errors) = (Vec::new(), Vec::new());
        for (volume, looked) in self.look_at_all() {
            match looked {
                Ok(()) => {}
                Err(Absent::Nowhere) => missing.push(volume),
                Err(Absent::Wrong(name, problem)) => errors.push(wrong(name, volume.number, problem)),
            }
        }
        if !missing.is_empty() {
            errors.insert(0, self.are_missing(missing));
        }
        PayloadError::of_volumes(errors).map_or(Ok(()), Err)
    }

    /// Whether this byte of the package is in a file that is open.
    pub(crate) fn is_here(&self, offset: u64) -> bool {
        let volume = self.cut.map_or(0, |cut| *cut.volumes(offset, 1).start());
        self.is_open(volume)
    }

    /// Whether the file of a volume is open.
    pub(crate) fn is_open(&self, volume: usize) -> bool {
        matches!(self.lock().get(volume), Some(Some(_)))
    }

    /// The volumes in which these bytes lie; `None` when the package is one file.
    pub(crate) fn volumes_of(&self, offset: u64, length: u64) -> Option<RangeInclusive<usize>> {
        self.cut.map(|cut| cut.volumes(offset, length))
    }

    /// That some volumes are missing, and where they were looked for.
    fn are_missing(&self, volumes: Vec<Volume>) -> PayloadError {
        PayloadError::Missing {
            volumes,
            looked: self.directories().iter().map(|path| path.display().to_string()).collect(),
        }
    }

    /// The length of the first file: of all of it, when it is the only one.
    pub(crate) fn first_length(&self) -> u64 {
        self.lock().first().and_then(Option::as_ref).map_or(0, |piece| piece.length)
    }

    /// That the package is `total` bytes long, and the first file is only a volume of it. `content` is where the part begins
    /// that need not be in the first volume.
    pub(crate) fn expect(
        &mut self,
        total: u64,
        content: u64,
        proofs: impl FnOnce(Cut) -> Vec<Vec<Proof>>,
    ) -> Result<(), PayloadError> {
        let length = self.first_length();
        if self.search.is_none() || length < content || !is_volume_size(length) {
            let problem = format!("it is cut off: {length} bytes of {total} are there");
            return Err(PayloadError::damaged("the file", problem));
        }
        let cut = Cut::new(total, length);
        if cut.count() > crate::MAX_VOLUMES {
            return Err(PayloadError::damaged(
                "the file",
                format!("it is cut off: {length} bytes of {total} are there"),
            ));
        }
        self.lock().resize_with(cut.count(), || None);
        self.proofs = proofs(cut);
        self.cut = Some(cut);
        Ok(())
    }

    /// Fills `buffer` from `offset` of the package; `what` names what is read in an error.
    pub(crate) fn read(&self, offset: u64, buffer: &mut [u8], what: &str) -> Result<(), PayloadError> {
        let Some(cut) = self.cut else { return self.read_piece(0, offset, buffer, what) };
        let mut done = 0;
        for volume in cut.volumes(offset, buffer.len() as u64) {
            let inside = offset + done as u64 - cut.start(volume);
            let left = cut.length(volume).saturating_sub(inside);
            let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len() - done);
            self.read_piece(volume, inside, &mut buffer[done..done + count], what)?;
            done += count;
        }
        if done == buffer.len() { Ok(()) } else { Err(PayloadError::damaged(what, "the file ends inside it")) }
    }

    /// Gives `to`, which is empty, these bytes without copying them, where the file that holds all of them is open and on the
    /// same file system; `false` where that cannot be done.
    pub(crate) fn share(&self, offset: u64, length: u64, to: &File) -> bool {
        let (volume, start) = match self.cut {
            None => (0, 0),
            Some(cut) => {
                let volumes = cut.volumes(offset, length);
                if volumes.start() != volumes.end() {
                    return false;
                }
                (*volumes.start(), cut.start(*volumes.start()))
            }
        };
        let piece = self.lock().get(volume).cloned().flatten();
        piece.is_some_and(|piece| piece.share(offset - start, length, to))
    }

    /// The first file, as something to read from its start.
    pub(crate) fn first(&self) -> First<'_> {
        First { parts: self, length: self.first_length(), position: 0 }
    }

    fn read_piece(&self, volume: usize, offset: u64, buffer: &mut [u8], what: &str) -> Result<(), PayloadError> {
        let mut problem = None;
        loop {
            let piece = self.piece(volume, problem.take())?;
            match piece.read(offset, buffer) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return Err(PayloadError::damaged(what, "the file ends inside it"));
                }
                // A medium that was pulled out.
                Err(error) if self.cut.is_some() && self.asks() => problem = Some(format!("cannot be read: {error}")),
                Err(source) if self.cut.is_some() => {
                    let what = format!("{} ({what})", volume_name(&self.name, volume));
                    return Err(PayloadError::Read { what, source });
                }
                Err(source) => return Err(PayloadError::Read { what: what.to_owned(), source }),
            }
        }
    }

    /// Whether somebody is asked for a volume that is not there.
    pub(crate) fn asks(&self) -> bool {
        self.search.as_ref().is_some_and(|search| search.ask.is_some())
    }

    /// The file of a volume, after asking for it when it is not there, or when there is a `problem` with it.
    fn piece(&self, volume: usize, mut problem: Option<String>) -> Result<Arc<Piece>, PayloadError> {
        let mut open = self.lock();
        if problem.is_none()
            && let Some(Some(piece)) = open.get(volume)
        {
            return Ok(Arc::clone(piece));
        }
        let (Some(cut), Some(search)) = (self.cut, &self.search) else {
            return Err(PayloadError::damaged("the file", "it ends too early"));
        };
        loop {
            let mut absent = Absent::Nowhere;
            if problem.is_none() {
                match self.look(&mut open, cut, volume) {
                    Ok(piece) => return Ok(piece),
                    Err(why) => absent = why,
                }
            }
            let wrong = match &absent {
                Absent::Wrong(path, why) => Some(format!("{path} {why}")),
                Absent::Nowhere => problem.take().map(|why| format!("{} {why}", volume_name(&self.name, volume))),
            };
            // Nothing is kept open that would keep a medium from being taken out.
            open.iter_mut().for_each(|piece| *piece = None);
            let answer = search.ask.as_ref().map(|ask| ask(&self.describe(cut, volume), wrong.as_deref()));
            match answer {
                Some(Answer::LookAgain) => {}
                Some(Answer::LookIn(directory)) => {
                    search.directories.lock().unwrap_or_else(PoisonError::into_inner).push(directory);
                }
                Some(Answer::Interrupted) => return Err(PayloadError::Interrupted),
                Some(Answer::Stop) | None => return Err(self.refusal(cut, volume, absent)),
            }
        }
    }

    /// Opens a volume if it is there and the right one.
    fn look(
        &self,
        open: &mut MutexGuard<'_, Vec<Option<Arc<Piece>>>>,
        cut: Cut,
        volume: usize,
    ) -> Result<Arc<Piece>, Absent> {
        if let Some(Some(piece)) = open.get(volume) {
            return Ok(Arc::clone(piece));
        }
        let name = volume_name(&self.name, volume);
        let mut absent = Absent::Nowhere;
        for directory in self.directories() {
            let why = match find::in_directory(&directory, &name) {
                Ok((path, piece)) => match proof::problem(&piece, volume, cut.length(volume), &self.proofs) {
                    None => {
                        let piece = Arc::new(piece);
                        if let Some(place) = open.get_mut(volume) {
                            *place = Some(Arc::clone(&piece));
                        }
                        return Ok(piece);
                    }
                    Some(problem) => (path, problem),
                },
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => (directory.join(&name), format!("cannot be read: {error}")),
            };
            if matches!(absent, Absent::Nowhere) {
                absent = Absent::Wrong(why.0.display().to_string(), why.1);
            }
        }
        Err(absent)
    }

    fn refusal(&self, cut: Cut, volume: usize, absent: Absent) -> PayloadError {
        match absent {
            Absent::Nowhere => self.are_missing(vec![self.describe(cut, volume)]),
            Absent::Wrong(name, problem) => wrong(name, volume + 1, problem),
        }
    }

    fn describe(&self, cut: Cut, volume: usize) -> Volume {
        Volume {
            name: volume_name(&self.name, volume),
            number: volume + 1,
            count: cut.count(),
            length: cut.length(volume),
        }
    }

    pub(super) fn directories(&self) -> Vec<PathBuf> {
        let Some(search) = &self.search else { return Vec::new() };
        search.directories.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Vec<Option<Arc<Piece>>>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wrong(name: String, number: usize, problem: String) -> PayloadError {
    PayloadError::Volume { name, numbers: vec![number], problem }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("name", &self.name).field("cut", &self.cut).finish_non_exhaustive()
    }
}

/// The first file, read from its start.
#[derive(Debug)]
pub(crate) struct First<'a> {
    parts: &'a Parts,
    length: u64,
    position: u64,
}

impl Read for First<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = usize::try_from(self.length.saturating_sub(self.position)).unwrap_or(usize::MAX);
        let count = left.min(buffer.len());
        self.parts.read(self.position, &mut buffer[..count], "the stub").map_err(io::Error::other)?;
        self.position += count as u64;
        Ok(count)
    }
}

impl Seek for First<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let position = match to {
            SeekFrom::Start(position) => Some(position),
            SeekFrom::End(distance) => self.length.checked_add_signed(distance),
            SeekFrom::Current(distance) => self.position.checked_add_signed(distance),
        };
        self.position = position.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}
