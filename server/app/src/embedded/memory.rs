//! How much memory the embedded Postgres may keep pages in.

use std::fs;

/// What every machine has room for, in MiB; also where nobody says how much memory there is.
const BUFFERS_MIB_MIN: u64 = 128;
/// Beyond it the system's own cache of files serves as well, in MiB.
const BUFFERS_MIB_MAX: u64 = 512;
/// One part in so many of the memory: the server, its workers and their tools live on the same machine.
const BUFFERS_PART: u64 = 16;

/// `shared_buffers` in MiB: with few of them an import into large tables writes each page again and again.
pub(super) fn buffers_mib() -> u64 {
    let machine = fs::read_to_string("/proc/meminfo").ok();
    // of a container, in bytes or the word `max` (cgroup v2)
    let container = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let machine = machine.and_then(|text| total_kib(&text)).map(|kib| kib / 1024);
    let container = container.and_then(|text| Some(text.trim().parse::<u64>().ok()? / 1024 / 1024));
    part_of(machine.into_iter().chain(container).min())
}

/// Of `/proc/meminfo` (proc(5)), in KiB.
fn total_kib(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.split_whitespace().next()?.parse().ok()
}

fn part_of(memory_mib: Option<u64>) -> u64 {
    memory_mib.map_or(BUFFERS_MIB_MIN, |mib| {
        (mib / BUFFERS_PART).clamp(BUFFERS_MIB_MIN, BUFFERS_MIB_MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_follow_the_memory_within_bounds() {
        assert_eq!(
            total_kib("MemFree: 1 kB\nMemTotal:   24576000 kB\n"),
            Some(24_576_000)
        );
        assert_eq!(total_kib("nothing"), None);
        assert_eq!(part_of(None), 128);
        assert_eq!(part_of(Some(512)), 128);
        assert_eq!(part_of(Some(4_096)), 256);
        assert_eq!(part_of(Some(64_000)), 512);
    }
}
