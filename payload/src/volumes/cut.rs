//! How a package is cut: the same bytes in files of equal length, the last one shorter, and what these are called.
//! Finding and reading them is in `find.rs` and `parts.rs`.

use std::ops::RangeInclusive;

/// Their names have three digits, so that they sort in the order in which `cat` needs them.
pub const MAX_VOLUMES: usize = 999;
/// The longest file that FAT32 takes, in bytes.
pub const FAT32_MAX: u64 = (4 << 30) - 1;

/// A package of `total` bytes in volumes of `size` bytes. Volumes are counted from 0 here, and from 1 in what people read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    total: u64,
    size: u64,
}

impl Cut {
    /// Every volume but the last one has `size` bytes.
    pub fn new(total: u64, size: u64) -> Self {
        Self { total, size: size.max(1) }
    }

    /// How many volumes there are.
    pub fn count(self) -> usize {
        usize::try_from(self.total.div_ceil(self.size)).unwrap_or(usize::MAX).max(1)
    }

    /// Where a volume starts in the package.
    pub fn start(self, volume: usize) -> u64 {
        (volume as u64).saturating_mul(self.size).min(self.total)
    }

    /// How long a volume is.
    pub fn length(self, volume: usize) -> u64 {
        self.size.min(self.total - self.start(volume))
    }

    /// The volumes in which these bytes of the package lie.
    pub fn volumes(self, offset: u64, length: u64) -> RangeInclusive<usize> {
        let volume = |at: u64| usize::try_from(at / self.size).unwrap_or(usize::MAX);
        volume(offset)..=volume(offset + length.saturating_sub(1))
    }
}

/// Whether a volume may be that long: whole kB, whole MiB, or all that FAT32 takes. A file that was cut off while it was
/// copied hardly ever is, and so is not taken for a volume.
pub fn is_volume_size(size: u64) -> bool {
    size > 0 && (size.is_multiple_of(1000) || size.is_multiple_of(1 << 20) || size == FAT32_MAX)
}

/// What a volume is called: the first has the name of the package, `x.run`, the next ones `x.run.002`, `x.run.003`…
pub fn volume_name(package: &str, volume: usize) -> String {
    if volume == 0 { package.to_owned() } else { format!("{package}.{:03}", volume + 1) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_cover_a_package_without_gap_or_overlap() {
        for (total, size, count) in [(10, 4, 3), (8, 4, 2), (3, 4, 1), (4, 4, 1)] {
            let cut = Cut::new(total, size);
            assert_eq!(cut.count(), count);
            assert_eq!((0..count).map(|volume| cut.length(volume)).sum::<u64>(), total);
            assert!((1..count).all(|volume| cut.start(volume) == cut.start(volume - 1) + cut.length(volume - 1)));
        }
        let cut = Cut::new(10, 4);
        assert_eq!(cut.volumes(3, 1), 0..=0);
        assert_eq!(cut.volumes(3, 2), 0..=1);
        assert_eq!(cut.volumes(2, 8), 0..=2);
    }

    #[test]
    fn names_sort_in_the_order_of_the_volumes() {
        let names: Vec<String> = (0..MAX_VOLUMES).map(|volume| volume_name("x.run", volume)).collect();
        assert!(names.is_sorted());
        assert_eq!((names[0].as_str(), names[1].as_str(), names[998].as_str()), ("x.run", "x.run.002", "x.run.999"));
    }

    #[test]
    fn sizes_that_people_choose_are_sizes_of_volumes() {
        assert!(
            [16_000_000_000, 4 << 30, FAT32_MAX, 4_700_000_000, 5_000_000, 1 << 20].into_iter().all(is_volume_size)
        );
        assert!([0, 1, 4096, 5_000_001, (4 << 30) - 2].into_iter().all(|size| !is_volume_size(size)));
    }
}
