//! What a process has used, from `/proc`: processor time and memory.

use std::fs;

use anyhow::{Context, Result};

/// Ticks a second in `/proc/PID/stat`: the kernel's user-space ABI fixes it.
const TICKS_PER_SECOND: f64 = 100.0;

/// Seconds of processor time of the process, in user space and in the kernel.
pub(crate) fn cpu_seconds(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
    let [user, system, ..] = ticks(&text).with_context(|| format!("{path} is not understood"))?;
    Ok((user + system) / TICKS_PER_SECOND)
}

/// Seconds of processor time of the children of this process that have ended.
pub(crate) fn children_cpu_seconds() -> Result<f64> {
    let text = fs::read_to_string("/proc/self/stat").context("/proc/self/stat cannot be read")?;
    let [.., user, system] = ticks(&text).context("/proc/self/stat is not understood")?;
    Ok((user + system) / TICKS_PER_SECOND)
}

/// Ticks in user space and in the kernel, of the process and of its children.
fn ticks(stat: &str) -> Option<[f64; 4]> {
    // The name, in brackets, may hold anything.
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ').skip(11).map(|field| field.parse().ok());
    Some([fields.next()??, fields.next()??, fields.next()??, fields.next()??])
}

/// Whose memory holds a server's connections.
#[derive(Clone, Copy)]
pub(crate) struct Memory {
    /// The server's process.
    pub(crate) pid: u32,
    /// The connections are the kernel's, which holds both ends of them.
    pub(crate) in_kernel: bool,
}

impl Memory {
    /// Resident bytes of the process, and the kernel's half of a pair of connections where they are its own.
    pub(crate) fn bytes(self) -> Result<f64> {
        let path = format!("/proc/{}/status", self.pid);
        let status = fs::read_to_string(&path).with_context(|| format!("{path} cannot be read"))?;
        let resident = kibibytes(&status, "VmRSS:").with_context(|| format!("{path} has no VmRSS"))?;
        if !self.in_kernel {
            return Ok(resident * 1024.0);
        }
        let info = fs::read_to_string("/proc/meminfo").context("/proc/meminfo cannot be read")?;
        let slab = kibibytes(&info, "Slab:").context("/proc/meminfo has no Slab")?;
        Ok((resident + slab / 2.0) * 1024.0)
    }
}

fn kibibytes(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.trim().strip_suffix(" kB")?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_follow_a_name_of_any_kind() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 4 6 20 0 1";
        assert_eq!(ticks(stat), Some([250.0, 50.0, 4.0, 6.0]));
        assert_eq!(ticks("7 (a) S 1 2"), None);
    }

    #[test]
    fn sizes_are_found_by_name() {
        assert_eq!(kibibytes("VmHWM:\t 9 kB\nVmRSS:\t  1234 kB\n", "VmRSS:"), Some(1234.0));
        assert_eq!(kibibytes("VmRSS: many\n", "VmRSS:"), None);
    }

    #[test]
    fn this_process_has_used_memory() {
        let memory = Memory { pid: std::process::id(), in_kernel: false };
        assert!(memory.bytes().unwrap() > 4096.0);
        assert!(cpu_seconds(std::process::id()).unwrap() >= 0.0);
    }
}
