//! The digest of content whose pieces come from several threads: computed in the order of the pieces, each read once.
//! Which digest is expected is the caller's business.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::{Digest, Hasher};

/// Takes the pieces of one content. Threads must take their pieces in ascending order: then the one whose turn it is
/// never waits for another.
#[derive(Default)]
pub struct InOrder {
    state: Mutex<State>,
    turn: Condvar,
}

#[derive(Default)]
struct State {
    next: usize,
    hasher: Hasher,
    abandoned: bool,
}

impl InOrder {
    /// Adds the piece with this number, counted from 0, when it is its turn.
    pub fn add(&self, piece: usize, bytes: &[u8]) {
        let mut state = self.wait(piece);
        if !state.abandoned {
            state.hasher.update(bytes);
            state.next += 1;
        }
        self.turn.notify_all();
    }

    /// A piece will never come: nobody waits any longer, and there will be no digest.
    pub fn abandon(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).abandoned = true;
        self.turn.notify_all();
    }

    /// The digest of `pieces` pieces; `None` when one did not come.
    pub fn finish(self, pieces: usize) -> Option<Digest> {
        let state = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        (!state.abandoned && state.next == pieces).then(|| state.hasher.finish())
    }

    fn wait(&self, piece: usize) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.next != piece && !state.abandoned {
            state = self.turn.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_count_in_their_order_whoever_brings_them() {
        let all = InOrder::default();
        std::thread::scope(|scope| {
            for (piece, bytes) in [(2, b"c"), (0, b"a"), (1, b"b")] {
                let all = &all;
                scope.spawn(move || all.add(piece, bytes));
            }
        });
        assert_eq!(all.finish(3), Some(Digest::of(b"abc")));
    }

    #[test]
    fn nobody_waits_for_a_piece_that_never_comes() {
        let all = InOrder::default();
        std::thread::scope(|scope| {
            scope.spawn(|| all.add(1, b"b"));
            all.abandon();
        });
        assert_eq!(all.finish(2), None);
    }
}
