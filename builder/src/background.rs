//! A thread that takes things in while others are made, in their order.
//! What it does with them, and how many there may be at once, is decided where the things are.

use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{Sender, channel};
use std::thread::{Builder, JoinHandle};

/// The thread, and the way to it.
pub(crate) struct Background<T, S> {
    things: Sender<Handed<T>>,
    thread: JoinHandle<S>,
}

enum Handed<T> {
    Thing(T),
    /// Is answered when its turn comes.
    Mark(Sender<()>),
}

/// The thread takes nothing more.
#[derive(Debug)]
pub(crate) struct GaveUp;

impl<T: Send + 'static, S: Send + 'static> Background<T, S> {
    /// Takes in each thing with `take`, until that gives up.
    pub(crate) fn new(mut state: S, take: fn(&mut S, T) -> ControlFlow<()>) -> io::Result<Self> {
        let (things, arriving) = channel();
        let thread = Builder::new().spawn(move || {
            for handed in arriving {
                let next = match handed {
                    Handed::Thing(thing) => take(&mut state, thing),
                    Handed::Mark(answer) => answer.send(()).map_or(ControlFlow::Break(()), ControlFlow::Continue),
                };
                if next.is_break() {
                    break;
                }
            }
            state
        })?;
        Ok(Self { things, thread })
    }

    pub(crate) fn add(&self, thing: T) -> Result<(), GaveUp> {
        self.things.send(Handed::Thing(thing)).map_err(|_| GaveUp)
    }

    /// Waits until everything that was added is taken in.
    pub(crate) fn settle(&self) -> Result<(), GaveUp> {
        let (answer, answered) = channel();
        self.things.send(Handed::Mark(answer)).map_err(|_| GaveUp)?;
        answered.recv().map_err(|_| GaveUp)
    }

    /// What has become of the state when everything is taken in, or the thread has given up.
    pub(crate) fn finish(self) -> S {
        drop(self.things);
        self.thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }
}
