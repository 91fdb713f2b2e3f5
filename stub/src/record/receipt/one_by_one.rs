//! Lists of a receipt that are read and written entry by entry, so that ten thousand are in memory once.
//! What an entry looks like is in `v1.rs`.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::ReceiptError;
use crate::record::listed::{HasPath, Listed};

/// Entries that are read one by one: there may be ten thousand.
pub(super) struct Many<T, W> {
    pub(super) entries: Listed<T>,
    wire: PhantomData<W>,
}

impl<'de, T: HasPath + TryFrom<W, Error = ReceiptError>, W: Deserialize<'de>> Deserialize<'de> for Many<T, W> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(OneByOne(PhantomData))
    }
}

struct OneByOne<T, W>(PhantomData<(T, W)>);

impl<'de, T: HasPath + TryFrom<W, Error = ReceiptError>, W: Deserialize<'de>> Visitor<'de> for OneByOne<T, W> {
    type Value = Many<T, W>;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut next = || Ok(list.next_element::<W>()?.map(|wire| T::try_from(wire).map_err(A::Error::custom)));
        let entries = std::iter::from_fn(|| next().and_then(Option::transpose).transpose());
        Ok(Many { entries: entries.collect::<Result<_, A::Error>>()?, wire: PhantomData })
    }
}

/// Entries that become text when their turn comes.
pub(super) struct Each<'a, T, W>(pub(super) &'a [T], pub(super) fn(&T) -> W);

impl<T, W: Serialize> Serialize for Each<'_, T, W> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.iter().map(self.1))
    }
}
