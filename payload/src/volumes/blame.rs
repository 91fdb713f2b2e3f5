//! Which volume is to blame, when bytes of a package are not the ones that were packed.
//! Whether a file is a volume at all is told in `proof.rs`; damage is gathered in `damage.rs`.

use std::collections::BTreeSet;
use std::path::PathBuf;

use crate::PayloadError;
use crate::volumes::cut::volume_name;
use crate::volumes::list;
use crate::volumes::parts::Parts;
use crate::volumes::proof;

impl Parts {
    /// An error about these bytes of the package names the volumes in which they lie.
    pub(crate) fn blame(&self, offset: u64, length: u64, error: PayloadError) -> PayloadError {
        match (self.cut, error) {
            (Some(cut), PayloadError::Damaged { region, problem }) => {
                let volumes: Vec<usize> = cut.volumes(offset, length).collect();
                self.damaged(&volumes, format!("is damaged: {region}: {problem}"))
            }
            (_, error) => error,
        }
    }

    /// Of several volumes that an error names, those that the list of digests beside the package does not clear; and what
    /// the list says of them, and of those beside them. Reads these volumes.
    pub(crate) fn narrow(&self, error: PayloadError) -> PayloadError {
        let errors = match error {
            PayloadError::Volumes(errors) => errors,
            error @ (PayloadError::Volume { .. } | PayloadError::Missing { .. }) => vec![error],
            error => return error,
        };
        let mut errors: Vec<_> = errors.into_iter().map(|error| self.narrow_one(error)).collect();
        errors.extend(self.beside(&errors));
        match errors.pop() {
            Some(only) if errors.is_empty() => only,
            last => PayloadError::Volumes(errors.into_iter().chain(last).collect()),
        }
    }

    /// A chunk that lies in a bad volume too cannot be compared. Of the volume with the rest of it the list tells, if it is
    /// of this package.
    fn beside(&self, errors: &[PayloadError]) -> Vec<PayloadError> {
        let numbers = |error: &PayloadError| match error {
            PayloadError::Volume { numbers, .. } => numbers.clone(),
            error => error.missing().iter().map(|volume| volume.number).collect(),
        };
        let bad: BTreeSet<usize> = errors.iter().flat_map(numbers).map(|number| number - 1).collect();
        let touches = |volume: usize| {
            bad.contains(&(volume + 1)) || volume.checked_sub(1).is_some_and(|before| bad.contains(&before))
        };
        let good = || (0..self.count()).filter(|volume| !bad.contains(volume) && self.is_open(*volume));
        let suspects: Vec<usize> = good().filter(|volume| touches(*volume) && self.listed(*volume).is_none()).collect();
        if suspects.is_empty()
            || !good().any(|volume| !suspects.contains(&volume) && self.listed(volume) == Some(volume))
        {
            return Vec::new();
        }
        let why = || "is damaged: the list of digests has another".to_owned();
        suspects.into_iter().map(|volume| self.damaged(&[volume], why())).collect()
    }

    fn narrow_one(&self, error: PayloadError) -> PayloadError {
        let PayloadError::Volume { numbers, problem, .. } = &error else { return error };
        let mut suspects: Vec<usize> = numbers.iter().map(|number| number - 1).collect();
        let mut shortest_first = suspects.clone();
        shortest_first.sort_by_key(|volume| self.cut.map(|cut| cut.length(*volume)));
        for volume in shortest_first {
            match self.listed(volume) {
                Some(same) if same == volume && suspects.len() > 1 => suspects.retain(|suspect| *suspect != volume),
                Some(other) if other != volume => return self.damaged(&[volume], proof::misnamed(other)),
                _ => {}
            }
        }
        if let ([volume], [_]) = (suspects.as_slice(), numbers.as_slice())
            && !self.is_open(*volume)
        {
            // Its file was looked at, and is named by its path: there may be one of that name on each of several media.
            return error;
        }
        let unproven = suspects.iter().any(|volume| self.proofs.get(*volume).is_none_or(Vec::is_empty));
        let or = if unproven { "; or it belongs to another package, or to another build of this one" } else { "" };
        self.damaged(&suspects, format!("{problem}{or}"))
    }

    fn damaged(&self, volumes: &[usize], problem: String) -> PayloadError {
        let names: Vec<String> = volumes.iter().map(|volume| self.file_name(*volume)).collect();
        let numbers = volumes.iter().map(|volume| volume + 1).collect();
        PayloadError::Volume { name: names.join(" or "), numbers, problem }
    }

    /// What the file of a volume is called, as far as that is known.
    fn file_name(&self, volume: usize) -> String {
        let archive = self.lock().get(volume).and_then(|piece| piece.as_ref()?.archive.clone());
        archive.unwrap_or_else(|| volume_name(&self.name, volume))
    }

    /// Which volume of the list of digests the file of a volume is.
    fn listed(&self, volume: usize) -> Option<usize> {
        let list = |directory: &PathBuf| list::read(&directory.join(format!("{}.sha256", self.name)));
        let names = self.directories().iter().find_map(list)?;
        let piece = self.lock().get(volume).cloned().flatten()?;
        let found = piece.digest().ok()?;
        let (_, name) = names.iter().find(|(digest, _)| *digest == found)?;
        (0..self.count()).find(|volume| volume_name(&self.name, *volume) == *name)
    }
}
