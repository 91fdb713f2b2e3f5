//! Sizes as people read them.
//! What is said about them lives with those who say it.

/// A size with a unit of 1000, as disks and downloads are sold: `3.8 GB`.
pub fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    let mut tenths = u128::from(bytes) * 10 / 1000;
    let mut unit = 0;
    while tenths >= 10_000 && unit + 1 < UNITS.len() {
        tenths /= 1000;
        unit += 1;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit])
}

/// Reads a size with a unit of 1000 (`16GB`) or 1024 (`4GiB`), or in bytes; one decimal point is allowed.
///
/// # Errors
/// A sentence, when it is none, or larger than any disk.
pub fn parse_size(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 10] = [
        ("", 1),
        ("b", 1),
        ("kb", 1000),
        ("mb", 1_000_000),
        ("gb", 1_000_000_000),
        ("tb", 1_000_000_000_000),
        ("kib", 1 << 10),
        ("mib", 1 << 20),
        ("gib", 1 << 30),
        ("tib", 1 << 40),
    ];
    let wrong = || format!("{text:?} is no size: a number and kB, MB, GB, TB (1000) or KiB, MiB, GiB, TiB (1024)");
    let trimmed = text.trim();
    let end = trimmed.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(trimmed.len());
    let (number, unit) = trimmed.split_at(end);
    let unit = unit.trim_start().to_ascii_lowercase();
    let factor = UNITS.iter().find(|(name, _)| *name == unit).ok_or_else(wrong)?.1;
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let whole: u64 = whole.parse().map_err(|_| wrong())?;
    let mut bytes = whole.checked_mul(factor).ok_or_else(wrong)?;
    if number.contains('.') {
        let parts: u64 = fraction.parse().map_err(|_| wrong())?;
        let scale = 10_u128.checked_pow(u32::try_from(fraction.len()).unwrap_or(u32::MAX)).ok_or_else(wrong)?;
        let rest = u128::from(parts) * u128::from(factor) / scale;
        bytes = bytes.checked_add(u64::try_from(rest).map_err(|_| wrong())?).ok_or_else(wrong)?;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::{parse_size, size};

    #[test]
    fn sizes_are_read_with_units_of_1000_and_of_1024() {
        assert_eq!(parse_size("16GB"), Ok(16_000_000_000));
        assert_eq!(parse_size("4GiB"), Ok(4 << 30));
        assert_eq!(parse_size("4.7 gb"), Ok(4_700_000_000));
        assert_eq!(parse_size("1.5MiB"), Ok(3 << 19));
        assert_eq!(parse_size("123"), Ok(123));
        for wrong in ["", "GB", "4G", "-1GB", "1.GB", ".5GB", "1.2.3GB", "99999999999TB", "4 gigabytes"] {
            assert!(parse_size(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn sizes_have_one_decimal() {
        assert_eq!(size(0), "0 B");
        assert_eq!(size(999), "999 B");
        assert_eq!(size(1000), "1.0 kB");
        assert_eq!(size(3_800_000_000), "3.8 GB");
        assert_eq!(size(u64::MAX), "18446.7 PB");
    }
}
