//! What tells that a file is a certain volume of a certain package: digests that the index states of its bytes.
//! Comparing all of it is in `verify.rs`.

use crate::Digest;
use crate::volumes::find::Piece;

/// Bytes of a volume whose digest is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Proof {
    /// Where they are in the volume.
    pub offset: u64,
    pub length: u64,
    pub digest: Digest,
}

impl Proof {
    fn holds(&self, piece: &Piece) -> bool {
        if self.offset + self.length > piece.length {
            return false;
        }
        let mut buffer = vec![0; usize::try_from(self.length).unwrap_or(0)];
        piece.read(self.offset, &mut buffer).is_ok() && Digest::of(&buffer) == self.digest
    }
}

/// What is wrong with a file that should be `volume`; `None` when as far as one look tells nothing is. `proofs` has those
/// of every volume.
pub(crate) fn problem(piece: &Piece, volume: usize, expected: u64, proofs: &[Vec<Proof>]) -> Option<String> {
    let own = proofs.get(volume).map_or(&[][..], Vec::as_slice);
    let right_length = piece.length == expected;
    if right_length && own.first().is_none_or(|proof| proof.holds(piece)) {
        return None;
    }
    if own.iter().any(|proof| proof.holds(piece)) {
        return Some(of_itself(piece.length, expected));
    }
    let other = |(number, proofs): &(usize, &Vec<Proof>)| {
        *number != volume && proofs.first().is_some_and(|proof| proof.holds(piece))
    };
    if let Some((number, _)) = proofs.iter().enumerate().find(other) {
        return Some(misnamed(number));
    }
    if piece.length < expected && own.iter().all(|proof| proof.offset + proof.length > piece.length) {
        return Some(format!(
            "{}, too few to tell whether they are of this package",
            of_itself(piece.length, expected)
        ));
    }
    Some(match own.len() {
        0 => of_itself(piece.length, expected),
        1 => format!(
            "is damaged, or belongs to another package or to another build of this one{}",
            said(piece.length, expected)
        ),
        _ => format!("belongs to another package, or to another build of this one{}", said(piece.length, expected)),
    })
}

/// That a file is this volume, and should not be.
pub(crate) fn misnamed(volume: usize) -> String {
    format!("holds volume {} of this package: it has the wrong name", volume + 1)
}

fn of_itself(length: u64, expected: u64) -> String {
    match length.cmp(&expected) {
        std::cmp::Ordering::Less => format!("is cut off: {length} bytes of {expected} are there"),
        std::cmp::Ordering::Greater => format!("is too long: {length} bytes, and {expected} belong to it"),
        std::cmp::Ordering::Equal => "is damaged".to_owned(),
    }
}

fn said(length: u64, expected: u64) -> String {
    if length == expected { String::new() } else { format!(" ({length} bytes, not {expected})") }
}
