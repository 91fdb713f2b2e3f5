//! A package is written in one file, or cut into volumes that all appear when all of them are complete.
//! How volumes are counted and called is in the crate `payload`; what is in a package, in `pack.rs`.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use payload::disk::{self, Early};
use payload::{ContentDigest, Cut, Digest, FAT32_MAX, Layout, MAX_VOLUMES, Output, Shared, volume_name};

use super::beside;
use super::emit::{Content, EmitError, directory_of, emit_whole, hidden};
use crate::digesting::Written;
use crate::unfinished::Unfinished;

/// A file that holds a package, or a part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    pub path: PathBuf,
    pub length: u64,
    pub digest: Digest,
}

impl Volume {
    /// Its file name, length and digest.
    pub(crate) fn facts(&self) -> (String, u64, Digest) {
        let name = self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        (name, self.length, self.digest)
    }
}

/// How a package of this layout is cut.
///
/// # Errors
/// [`EmitError::Size`] when the first volume would not hold what a plan needs, or there would be too many.
pub(crate) fn cut(layout: &Layout, size: u64) -> Result<Cut, EmitError> {
    let (total, content) = (layout.length(), layout.content_offset());
    let cut = Cut::new(total, size);
    if cut.count() == 1 {
        return Ok(cut);
    }
    if size < content {
        let problem = format!(
            "the first volume must hold the program and the index, {content} bytes, and volumes of {size} bytes are shorter"
        );
        return Err(EmitError::Size { problem });
    }
    if cut.count() > MAX_VOLUMES {
        let problem = format!(
            "{total} bytes in volumes of {size} are {} volumes, and names with three digits end at {MAX_VOLUMES}",
            cut.count()
        );
        return Err(EmitError::Size { problem });
    }
    Ok(cut)
}

/// What to say of a package that most sticks do not take as one file.
pub(crate) fn fat32_warning(name: &str, length: u64) -> Option<String> {
    (length > FAT32_MAX).then(|| {
        format!(
            "{name} is {}: FAT32, which most sticks are formatted with, takes no file of 4 GiB or more; --chunk-size fat32 cuts \
             it into volumes that fit",
            payload::size(length)
        )
    })
}

/// Refuses, before anything is fetched, to leave or replace files that have the names of volumes and are none of an older
/// package here.
pub(crate) fn require_ours(package: &Path, force: bool) -> Result<(), EmitError> {
    let listed = beside::listed(package);
    match existing(package).into_iter().find(|(_, name, _)| !force && !listed.contains(name)) {
        None => Ok(()),
        Some((_, name, path)) => Err(EmitError::Refused {
            path,
            problem: format!("it has the name of a volume, and {name} is not in the list of an older package"),
            hint: "move it away, write to another directory with --output PATH, or replace it with --force",
        }),
    }
}

/// Writes a package to `path`, in as many files as `cut` says. Gives them, and the digest of all bytes.
pub(crate) fn emit(path: &Path, cut: Cut, content: Content<'_>) -> Result<(Vec<Volume>, Digest), EmitError> {
    let old = existing(path);
    let written = if cut.count() == 1 {
        let digest = emit_whole(path, content)?;
        (vec![Volume { path: path.to_owned(), length: cut.length(0), digest }], digest)
    } else {
        emit_cut(path, cut, content)?
    };
    for (number, _, path) in old {
        if number > cut.count() {
            // A volume too many would be joined by `cat`.
            fs::remove_file(&path).map_err(|source| EmitError::Write { path, source })?;
        }
    }
    Ok(written)
}

fn emit_cut(path: &Path, cut: Cut, content: Content<'_>) -> Result<(Vec<Volume>, Digest), EmitError> {
    emit_wrapped(path, cut, &|_| Ok(None), content)
}

/// What is around a volume, and what its file is called; `None` when nothing is.
pub(super) type Wrap<'a> = &'a dyn Fn(usize) -> io::Result<Option<Wrapping>>;

/// What stands before and behind a volume in its file.
pub(super) struct Wrapping {
    pub(super) name: String,
    pub(super) before: Vec<u8>,
    pub(super) behind: Vec<u8>,
}

/// Writes volumes, each in what is around it.
pub(super) fn emit_wrapped(
    path: &Path,
    cut: Cut,
    wrap: Wrap<'_>,
    content: Content<'_>,
) -> Result<(Vec<Volume>, Digest), EmitError> {
    let whole = Written::new().map_err(|source| EmitError::Write { path: path.to_owned(), source })?;
    let mut cutter = Cutter { path, cut, wrap, complete: Vec::new(), current: None, whole };
    content(&mut cutter)?;
    let Cutter { complete, whole, .. } = cutter;
    let mut volumes = Vec::new();
    // The first comes last: while it is not there, nobody takes the others for a package.
    for (unfinished, volume) in complete.into_iter().rev() {
        fs::rename(unfinished.path(), &volume.path)
            .map_err(|source| EmitError::Write { path: volume.path.clone(), source })?;
        volumes.push(volume);
    }
    volumes.reverse();
    // The new names are on the disk only when their directory is; not every file system can do that.
    let _ = File::open(directory_of(path)).and_then(|directory| directory.sync_all());
    Ok((volumes, whole.finish()))
}

/// Files with the names of second and further volumes of a package: number, name, path.
fn existing(package: &Path) -> Vec<(usize, String, PathBuf)> {
    let Some(first) = package.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let Ok(entries) = fs::read_dir(directory_of(package)) else { return Vec::new() };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut found: Vec<_> = names
        .filter_map(|name| {
            let digits = name.strip_prefix(first)?.strip_prefix('.')?;
            let number = Some(digits).filter(|digits| digits.len() == 3)?.parse().ok()?;
            let path = package.with_file_name(&name);
            (number >= 2).then_some((number, name, path))
        })
        .collect();
    found.sort();
    found
}

/// Cuts what is written.
struct Cutter<'a> {
    path: &'a Path,
    cut: Cut,
    wrap: Wrap<'a>,
    complete: Vec<(Unfinished, Volume)>,
    current: Option<Current>,
    whole: Written,
}

/// The volume that is being written.
struct Current {
    unfinished: Unfinished,
    file: File,
    digest: Written,
    early: Early,
    left: u64,
    wrapping: Option<Wrapping>,
}

impl Cutter<'_> {
    fn begin(&mut self) -> io::Result<Current> {
        let directory = directory_of(self.path);
        let make = || hidden().tempfile_in(directory)?.keep().map(|(file, name)| (name, file)).map_err(|e| e.error);
        let wrapping = (self.wrap)(self.complete.len())?;
        let (unfinished, mut file) = Unfinished::make(make)?;
        let digest = Written::new()?;
        if let Some(wrapping) = &wrapping {
            file.write_all(&wrapping.before)?;
            digest.update(&wrapping.before);
        }
        let left = self.cut.length(self.complete.len());
        Ok(Current { unfinished, file, digest, early: Early::default(), left, wrapping })
    }

    /// Writes what the current volume has room for; gives the number of bytes.
    fn put(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut current = match self.current.take() {
            Some(current) => current,
            None => self.begin()?,
        };
        let count = usize::try_from(current.left).unwrap_or(usize::MAX).min(bytes.len());
        disk::write_all(&current.file, &bytes[..count])?;
        current.digest.update(&bytes[..count]);
        current.early.wrote(&current.file, count);
        current.left -= count as u64;
        if current.left == 0 {
            self.end(current)?;
        } else {
            self.current = Some(current);
        }
        Ok(count)
    }

    fn end(&mut self, mut current: Current) -> io::Result<()> {
        let number = self.complete.len();
        let first = self.path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let (mut name, mut length) = (volume_name(&first, number), self.cut.length(number));
        // Only the first one is a program.
        let mut mode = if number == 0 { 0o755 } else { 0o644 };
        if let Some(wrapping) = current.wrapping {
            current.file.write_all(&wrapping.behind)?;
            current.digest.update(&wrapping.behind);
            length += (wrapping.before.len() + wrapping.behind.len()) as u64;
            (name, mode) = (wrapping.name, 0o644);
        }
        current.file.set_permissions(fs::Permissions::from_mode(mode))?;
        current.file.sync_all()?;
        let volume = Volume { path: self.path.with_file_name(name), length, digest: current.digest.finish() };
        self.complete.push((current.unfinished, volume));
        Ok(())
    }
}

impl Output for Cutter<'_> {
    fn write_shared(&mut self, bytes: &Shared, content: Option<&ContentDigest>) -> io::Result<()> {
        let mut left = (**bytes).as_ref();
        while !left.is_empty() {
            left = &left[self.put(left)?..];
        }
        self.whole.update_shared(bytes, content);
        Ok(())
    }

    fn settle(&mut self) -> io::Result<()> {
        self.whole.settle();
        Ok(())
    }
}

impl Write for Cutter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.put(bytes)?;
        self.whole.update(&bytes[..count]);
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
