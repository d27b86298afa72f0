//! How much processor time this process used, as far as the system tells.

use std::time::{Duration, Instant};

/// The unit of `/proc/self/stat`: Linux shows times to user space in hundredths of a second everywhere.
const TICKS_PER_SECOND: f64 = 100.0;

/// Processor time used by the process up to a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CpuClock {
    at: Instant,
    user: f64,
    system: f64,
}

/// Shares of one processor in a span of time, in percent.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct CpuUse {
    pub(crate) user: f64,
    pub(crate) system: f64,
}

impl CpuClock {
    /// Reads the clock; zeros where there is no `/proc`.
    pub(crate) fn read() -> Self {
        let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let (user, system) = parse_stat(&stat).unwrap_or_default();
        Self { at: Instant::now(), user, system }
    }

    /// What was used since `start`.
    pub(crate) fn since(&self, start: &Self) -> CpuUse {
        let elapsed = self.at.saturating_duration_since(start.at).max(Duration::from_millis(1)).as_secs_f64();
        let percent = |used: f64| (used / TICKS_PER_SECOND / elapsed * 100.0).max(0.0);
        CpuUse { user: percent(self.user - start.user), system: percent(self.system - start.system) }
    }
}

/// The fields `utime` and `stime` of proc_pid_stat(5), which are counted behind the command's closing parenthesis.
fn parse_stat(stat: &str) -> Option<(f64, f64)> {
    let (_, fields) = stat.rsplit_once(')')?;
    let mut fields = fields.split_ascii_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::parse_stat;

    #[test]
    fn times_are_found_behind_any_command_name() {
        let stat = "1 (a) b (c)) S 0 1 1 0 -1 4194560 1 2 3 4 70 30 5 6 20 0 1 0 1 2 3";
        assert_eq!(parse_stat(stat), Some((70.0, 30.0)));
        assert_eq!(parse_stat(""), None);
    }
}
