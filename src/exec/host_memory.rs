//! Memory of this machine and of this process, as Linux reports it; elsewhere nothing is known.

use std::fs::read_to_string;
use std::path::Path;

/// What training takes from the host besides its program: batches and their loader, the tokenizer, threads, and the chunks in
/// which a checkpoint is saved and read.
const BESIDES: u64 = 64 << 20;

/// Bytes that a program may take on the CPU, if known: what is available, minus what training takes besides.
pub fn for_program() -> Option<u64> {
    available().map(|bytes| bytes.saturating_sub(BESIDES))
}

/// Bytes that are available without swapping: the smallest of what is left by the machine, by every control group above this
/// process, and by its own limits (`ulimit -v` and `-d`).
pub fn available() -> Option<u64> {
    available_in(Path::new("/proc"), Path::new("/sys/fs/cgroup"))
}

fn available_in(proc: &Path, groups: &Path) -> Option<u64> {
    let machine = kilobytes(&read_to_string(proc.join("meminfo")).ok()?, "MemAvailable:")?;
    let memberships = read_to_string(proc.join("self/cgroup")).unwrap_or_default();
    let left = memberships.lines().filter_map(|line| left_in_groups(line, groups)).min();
    Some(machine.min(left.unwrap_or(u64::MAX)).min(left_in_limits(proc)))
}

/// How much this process's limits leave of its address space and its data.
fn left_in_limits(proc: &Path) -> u64 {
    let read = |name: &str| read_to_string(proc.join(name)).unwrap_or_default();
    let (limits, status) = (read("self/limits"), read("self/status"));
    let left = |limit: &str, used: &str| {
        let line = limits.lines().find_map(|line| line.strip_prefix(limit))?;
        let limit = line.split_whitespace().next()?.parse::<u64>().ok()?;
        Some(limit.saturating_sub(kilobytes(&status, used)?))
    };
    let of = [left("Max address space", "VmSize:"), left("Max data size", "VmData:")];
    of.into_iter().flatten().min().unwrap_or(u64::MAX)
}

/// How much memory the groups of a line `number:controllers:path` leave, in version 2 (no controllers named) or 1.
fn left_in_groups(line: &str, groups: &Path) -> Option<u64> {
    let mut fields = line.splitn(3, ':').skip(1);
    let (controllers, path) = (fields.next()?, fields.next()?);
    let (root, limit, usage, inactive) = match controllers {
        "" => (groups.to_path_buf(), "memory.max", "memory.current", "inactive_file "),
        names if names.split(',').any(|name| name == "memory") => {
            (groups.join("memory"), "memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file ")
        }
        _ => return None,
    };
    // In a container the path may be the host's; the container's own group is then the root.
    let own = root.join(path.trim_start_matches('/'));
    let number = |file: &Path| read_to_string(file).ok()?.trim().parse::<u64>().ok();
    let left = |group: &Path| {
        let (limit, used) = (number(&group.join(limit))?, number(&group.join(usage))?);
        let stat = read_to_string(group.join("memory.stat")).unwrap_or_default();
        // Cached file pages that were not used lately are freed when memory is needed.
        let cached = stat.lines().find_map(|line| line.strip_prefix(inactive)?.trim().parse::<u64>().ok());
        Some(limit.saturating_sub(used.saturating_sub(cached.unwrap_or(0))))
    };
    own.ancestors().take_while(|group| group.starts_with(&root)).filter_map(left).min()
}

/// Resident bytes of this process: now, and at their peak.
#[derive(Clone, Copy, Debug)]
pub struct Resident {
    pub now: u64,
    pub peak: u64,
}

impl Resident {
    pub fn read() -> Option<Resident> {
        let status = read_to_string("/proc/self/status").ok()?;
        Some(Resident { now: kilobytes(&status, "VmRSS:")?, peak: kilobytes(&status, "VmHWM:")? })
    }

    /// The most that the process has grown by since. If its peak was before that, the growth until now.
    pub fn growth(self) -> Option<u64> {
        let current = Resident::read()?;
        let most = if current.peak > self.peak { current.peak } else { current.now };
        Some(most.saturating_sub(self.now))
    }
}

fn kilobytes(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(key))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    /// A machine with 1000 KiB available, and these files.
    fn available_with(membership: &str, files: &[(&str, &str)]) -> Option<u64> {
        let dir = tempfile::tempdir().unwrap();
        let machine = [("proc/meminfo", "MemTotal: 2 kB\nMemAvailable:  1000 kB\n"), ("proc/self/cgroup", membership)];
        for (name, content) in machine.iter().chain(files) {
            let path = dir.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        available_in(&dir.path().join("proc"), &dir.path().join("cgroup"))
    }

    #[test]
    fn the_tightest_limit_counts() {
        assert_eq!(available_with("0::/a/b\n", &[]), Some(1_024_000));
        let free = [("cgroup/a/memory.max", "max\n"), ("cgroup/a/memory.current", "5\n")];
        assert_eq!(available_with("0::/a\n", &free), Some(1_024_000));
        let above = [("cgroup/a/memory.max", "9000\n"), ("cgroup/a/memory.current", "5000\n")];
        assert_eq!(available_with("0::/a/b\n", &above), Some(4000));
        let cached = [above[0], above[1], ("cgroup/a/memory.stat", "anon 1\ninactive_file 3000\n")];
        assert_eq!(available_with("0::/a\n", &cached), Some(7000));
        let over = [("cgroup/a/memory.max", "10\n"), ("cgroup/a/memory.current", "11\n")];
        assert_eq!(available_with("0::/a\n", &over), Some(0));
    }

    #[test]
    fn the_limits_of_the_process_count() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max data size             unlimited            unlimited            bytes\n\
                      Max address space         900000               unlimited            bytes\n";
        let status = "VmSize:\t     300 kB\nVmData:\t  5 kB\n";
        let files = [("proc/self/limits", limits), ("proc/self/status", status)];
        assert_eq!(available_with("", &files), Some(900_000 - 300 * 1024));
        assert_eq!(available_with("", &[files[0]]), Some(1_024_000));
    }

    #[test]
    fn the_first_version_too() {
        let files =
            [("cgroup/memory/memory.limit_in_bytes", "6000\n"), ("cgroup/memory/memory.usage_in_bytes", "1000\n")];
        assert_eq!(available_with("3:cpu,cpuacct:/\n4:memory:/of/the/host\n", &files), Some(5000));
        assert_eq!(available_with("3:cpu,cpuacct:/\n", &files), Some(1_024_000));
    }
}
