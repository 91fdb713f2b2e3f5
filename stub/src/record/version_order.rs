//! Which of two versions is the older one. Packages name theirs freely: as Ollama, Debian, or semver does.
//! What follows from it is decided in `plan/preflight.rs`.

use std::cmp::Ordering;
use std::iter::Peekable;
use std::str::Chars;

/// Compares two versions: numbers by their value, everything else by its letters. What stands behind a `~`, and a word
/// behind a `-` (`1.0-rc1`), comes before the version without it; a leading `v` means nothing, and what follows a `+` neither.
pub fn compare(one: &str, other: &str) -> Ordering {
    let (mut one, mut other) = (bare(one).chars().peekable(), bare(other).chars().peekable());
    loop {
        let order = rank(&mut one).cmp(&rank(&mut other));
        if order != Ordering::Equal {
            return order;
        }
        match (one.peek().copied(), other.peek().copied()) {
            (None, None) => return Ordering::Equal,
            (Some(a), Some(b)) if a.is_ascii_digit() && b.is_ascii_digit() => {
                let order = number(&mut one, &mut other);
                if order != Ordering::Equal {
                    return order;
                }
            }
            (a, b) if a != b => return a.cmp(&b),
            _ => {
                one.next();
                other.next();
            }
        }
    }
}

fn bare(version: &str) -> &str {
    let version = version.strip_prefix(['v', 'V']).unwrap_or(version);
    version.split_once('+').map_or(version, |(version, _)| version)
}

/// What comes next, from what makes a version older to what makes it newer.
fn rank(rest: &mut Peekable<Chars<'_>>) -> u8 {
    let (next, after) = (rest.peek().copied(), rest.clone().nth(1));
    match next {
        Some('~') => 0,
        Some('-') if after.is_some_and(|after| after.is_ascii_alphabetic()) => 1,
        None => 2,
        Some(next) if next.is_ascii_digit() => 4,
        Some(_) => 3,
    }
}

/// Numbers of any length: without their zeros, the longer one is larger.
fn number(one: &mut Peekable<Chars<'_>>, other: &mut Peekable<Chars<'_>>) -> Ordering {
    let digits = |rest: &mut Peekable<Chars<'_>>| {
        let mut digits = String::new();
        while let Some(digit) = rest.next_if(char::is_ascii_digit) {
            digits.push(digit);
        }
        digits.trim_start_matches('0').to_owned()
    };
    let (one, other) = (digits(one), digits(other));
    one.len().cmp(&other.len()).then_with(|| one.cmp(&other))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_people_expect() {
        let ascending = [
            "0.9",
            "0.15.0~rc1",
            "0.15.0-alpha",
            "0.15.0-rc2",
            "0.15.0-rc10",
            "0.15.0",
            "0.15.0-1",
            "0.15.1",
            "0.15.2",
            "0.15.10",
            "1",
            "1.0",
            "2",
            "10",
            "2024.1",
            "2024.01.1",
            "99999999999999999999999999",
        ];
        for pair in ascending.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
            assert_eq!(compare(pair[1], pair[0]), Ordering::Greater, "{pair:?}");
        }
        for (one, other) in [("v1.2", "1.2"), ("1.02", "1.2"), ("1.2+build7", "1.2"), ("", "")] {
            assert_eq!(compare(one, other), Ordering::Equal, "{one} {other}");
        }
    }
}
