//! Entries of a receipt: in the order in which they were listed, and found by their path without looking at all of them.
//! What the entries say is in `receipt.rs`.

use std::ops::Deref;

use payload::RelPath;

/// What is listed by its path.
pub trait HasPath {
    /// Where it is; this never changes while it is listed.
    fn path(&self) -> &RelPath;
}

/// A list with an order of its own, and the positions of its entries by their paths.
#[derive(Debug, Clone)]
pub struct Listed<T> {
    entries: Vec<T>,
    by_path: Vec<usize>,
}

impl<T: HasPath> Listed<T> {
    /// The entry at `path`, the first one where several are listed.
    pub fn at(&self, path: &RelPath) -> Option<&T> {
        self.position(path).and_then(|position| self.entries.get(position))
    }

    /// The same, to be changed: but for its path.
    pub fn at_mut(&mut self, path: &RelPath) -> Option<&mut T> {
        self.position(path).and_then(|position| self.entries.get_mut(position))
    }

    fn position(&self, path: &RelPath) -> Option<usize> {
        let path_of = |position: &usize| self.entries.get(*position).map(T::path);
        let at = self.by_path.partition_point(|position| path_of(position) < Some(path));
        self.by_path.get(at).copied().filter(|position| path_of(position) == Some(path))
    }

    /// All of them, to be changed: but for their paths.
    pub fn iter_mut(&mut self) -> std::slice::IterMut<'_, T> {
        self.entries.iter_mut()
    }

    /// Adds an entry behind the others.
    #[cfg(test)]
    pub fn push(&mut self, entry: T) {
        self.entries.push(entry);
        self.by_path = by_path(&self.entries);
    }

    /// Removes what is not `wanted`.
    pub fn retain(&mut self, wanted: impl FnMut(&T) -> bool) {
        self.entries.retain(wanted);
        self.by_path = by_path(&self.entries);
    }
}

fn by_path<T: HasPath>(entries: &[T]) -> Vec<usize> {
    let mut positions: Vec<usize> = (0..entries.len()).collect();
    positions.sort_by_key(|position| entries.get(*position).map(T::path));
    positions
}

impl<T: HasPath> FromIterator<T> for Listed<T> {
    fn from_iter<I: IntoIterator<Item = T>>(entries: I) -> Self {
        let entries: Vec<T> = entries.into_iter().collect();
        Self { by_path: by_path(&entries), entries }
    }
}

impl<T> Default for Listed<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), by_path: Vec::new() }
    }
}

impl<T> Deref for Listed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        &self.entries
    }
}

impl<'a, T> IntoIterator for &'a Listed<T> {
    type Item = &'a T;
    type IntoIter = std::slice::Iter<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.entries.iter()
    }
}

impl<'a, T: HasPath> IntoIterator for &'a mut Listed<T> {
    type Item = &'a mut T;
    type IntoIter = std::slice::IterMut<'a, T>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter_mut()
    }
}

impl<T: PartialEq> PartialEq for Listed<T> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries
    }
}

impl<T: Eq> Eq for Listed<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    impl HasPath for (RelPath, u8) {
        fn path(&self) -> &RelPath {
            &self.0
        }
    }

    fn listed(paths: &str) -> Listed<(RelPath, u8)> {
        (0..).zip(paths.split(' ')).map(|(number, path)| (path.parse().unwrap(), number)).collect()
    }

    #[test]
    fn each_is_found_and_the_order_stays() {
        let mut list = listed("b a/c a d a");
        let found = |list: &Listed<(RelPath, u8)>, path: &str| list.at(&path.parse().unwrap()).map(|entry| entry.1);
        for (path, number) in [("b", 0), ("a/c", 1), ("a", 2), ("d", 3)] {
            assert_eq!(found(&list, path), Some(number), "{path}, the first of its name");
        }
        for path in ["A", "a/b", "c", "e"] {
            assert_eq!(found(&list, path), None, "{path}");
        }
        assert_eq!(list.iter().map(|entry| entry.1).collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
        list.at_mut(&"d".parse().unwrap()).unwrap().1 = 9;
        list.retain(|entry| entry.1 != 0);
        assert_eq!((found(&list, "b"), found(&list, "d"), found(&list, "a")), (None, Some(9), Some(2)));
        assert_eq!(found(&listed("x"), "x"), Some(0));
    }
}
