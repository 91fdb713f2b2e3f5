//! How much memory this machine has, or this container may use.
//! What a model takes is stated by the package; the two are compared in `plan/memory.rs`.

use std::fs;

/// Bytes that programs of the running system can use at most; `None` when it does not say.
pub fn total() -> Option<u64> {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| mem_total(&text));
    // There in a container alone: a machine's own root group has no limit. Version 2, then version 1 of control groups.
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let limits = limits.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    limits.chain(machine).min()
}

/// `MemTotal:` of `/proc/meminfo`, which has it in units of 1024 bytes.
fn mem_total(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_machine_is_read() {
        let text = "MemFree:         5 kB\nMemTotal:       24626160 kB\nMemAvailable:   1 kB\n";
        assert_eq!(mem_total(text), Some(24_626_160 * 1024));
        for unknown in ["", "MemTotal: x kB", "MemTotal: 5", "MemTotal: 18446744073709551615 kB"] {
            assert_eq!(mem_total(unknown), None, "{unknown}");
        }
        assert!(total().is_some_and(|bytes| bytes > 1 << 20));
    }
}
