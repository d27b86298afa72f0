//! What a script asks of the host before it begins: `--name=value` lines, and `sysctl` commands in backquotes.

use core::time::Duration;

use netloom_stack::transport::{Congestion, EcnMode, SynCookieMode, TcpConfig};

/// The version of IP that a script runs over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4, with an MTU of 1500.
    V4,
    /// IPv6, with an MTU of 1520: full segments are then as long as over IPv4.
    V6,
}

/// A host's configuration, and how exact a script is to be taken.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// `--ip_version`; `None`: both.
    pub(super) family: Option<Family>,
    /// `--mtu`, in bytes.
    pub(super) mtu: Option<u16>,
    /// `--tolerance_usecs`: how much earlier or later a segment may leave.
    pub(super) tolerance: Duration,
    /// `--strict_segments`: one `>` is one segment.
    pub(super) has_strict_segments: bool,
    /// `--tcp_ts_ecr_scaled`: a TSecr that no TSval before it had is reckoned from the first.
    pub(super) scales_echoes: bool,
    pub(super) tcp: TcpConfig,
}

/// The last number of `tcp_rmem` on Linux, by which it chooses its window scale; in bytes.
const LINUX_RECEIVE_BUFFER: usize = 6 << 20;

impl Default for Settings {
    fn default() -> Self {
        Self {
            family: None,
            mtu: None,
            tolerance: Duration::from_millis(4),
            has_strict_segments: false,
            scales_echoes: false,
            // Linux paces only where its queueing discipline does, and that of packetdrill's interface does not.
            tcp: TcpConfig { receive_buffer: LINUX_RECEIVE_BUFFER, pacing: false, ..TcpConfig::default() },
        }
    }
}

/// What a script turns off in Linux, so that both do the same: netloom has it not, or has no switch for it, or not without
/// SACK.
const ABSENT: [&str; 5] = [
    "net.ipv4.tcp_autocorking",
    "net.ipv4.tcp_early_retrans",
    "net.ipv4.tcp_frto",
    "net.ipv4.tcp_recovery",
    "net.ipv4.tcp_syn_linear_timeouts",
];

impl Settings {
    /// `--name=value`.
    pub(super) fn set_option(&mut self, name: &str, value: Option<&str>) -> Result<(), String> {
        let number = || value.and_then(|it| it.parse::<u64>().ok()).ok_or(format!("--{name} wants a number"));
        match name {
            "ip_version" => {
                self.family = Some(match value {
                    Some("ipv4") => Family::V4,
                    Some("ipv6") => Family::V6,
                    Some(_) | None => return Err("--ip_version is ipv4 or ipv6".to_owned()),
                });
            }
            "mtu" => self.mtu = Some(u16::try_from(number()?).map_err(|_| "--mtu is too large")?),
            "tolerance_usecs" => self.tolerance = Duration::from_micros(number()?),
            "strict_segments" => self.has_strict_segments = true,
            "tcp_ts_ecr_scaled" => self.scales_echoes = true,
            _ => return Err(format!("--{name} is not in the subset")),
        }
        Ok(())
    }

    /// Commands that come before the first step: `sysctl`, one a line.
    pub(super) fn run_commands(&mut self, commands: &str) -> Result<(), String> {
        for line in commands.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let mut words = words(line).into_iter();
            if words.next().as_deref() != Some("sysctl") {
                return Err(format!("`{line}`: only sysctl is in the subset"));
            }
            for word in words {
                if matches!(word.as_str(), "-q" | "-w" | "-qw") {
                    continue;
                }
                let (name, value) = word.split_once('=').ok_or(format!("`{word}` is not name=value"))?;
                self.set_sysctl(name, value)?;
            }
        }
        Ok(())
    }

    fn set_sysctl(&mut self, name: &str, value: &str) -> Result<(), String> {
        let bad = || format!("{name} cannot be {value}");
        let tcp = &mut self.tcp;
        let number = || value.parse::<u64>().map_err(|_| bad());
        let small = || value.parse::<u8>().map_err(|_| bad());
        let largest =
            || value.split_whitespace().last().and_then(|it| it.parse::<usize>().ok()).ok_or_else(bad);
        match name {
            "net.ipv4.tcp_timestamps" => tcp.timestamps = number()? != 0,
            "net.ipv4.tcp_sack" => tcp.sack = number()? != 0,
            "net.ipv4.tcp_window_scaling" => tcp.window_scaling = number()? != 0,
            "net.ipv4.tcp_syn_retries" | "net.ipv4.tcp_synack_retries" => tcp.syn_retries = small()?,
            "net.ipv4.tcp_retries1" => tcp.retries1 = small()?,
            "net.ipv4.tcp_retries2" => tcp.retries2 = small()?,
            // As with Linux' 1, nothing is probed before a black hole was found.
            "net.ipv4.tcp_mtu_probing" => {
                tcp.mtu_probing = match value {
                    "0" => false,
                    "1" => true,
                    _ => return Err(bad()),
                };
            }
            "net.ipv4.tcp_fin_timeout" => tcp.fin_wait2_timeout = Duration::from_secs(number()?),
            "net.ipv4.tcp_max_syn_backlog" => tcp.max_half_open = usize::from(small()?),
            "net.ipv4.tcp_rmem" => tcp.receive_buffer = largest()?,
            "net.ipv4.tcp_wmem" => tcp.send_buffer = largest()?,
            "net.ipv4.tcp_congestion_control" => {
                tcp.congestion = congestion_control(value).ok_or_else(bad)?;
            }
            "net.ipv4.tcp_ecn" => {
                tcp.ecn = match value {
                    "0" => EcnMode::Off,
                    "1" => EcnMode::Request,
                    "2" => EcnMode::Accept,
                    _ => return Err(bad()),
                };
            }
            "net.ipv4.tcp_syncookies" => {
                tcp.syn_cookies = match value {
                    "0" => SynCookieMode::Off,
                    "1" => SynCookieMode::WhenFull,
                    "2" => SynCookieMode::Always,
                    _ => return Err(bad()),
                };
            }
            // The applications alone say whether it is used: as if both bits were set.
            "net.ipv4.tcp_fastopen" if value == "3" => {}
            _ if ABSENT.contains(&name) => {
                if value != "0" {
                    return Err(bad());
                }
            }
            _ => return Err(format!("{name} is not in the subset")),
        }
        Ok(())
    }
}

/// Congestion control by Linux' name for it.
pub(super) fn congestion_control(name: &str) -> Option<Congestion> {
    let ours = if name == "reno" { "newreno" } else { name };
    ours.parse().ok()
}

/// The words of a command line; quotes keep blanks.
fn words(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    for letter in line.chars() {
        match quote {
            Some(end) if letter == end => quote = None,
            None if letter == '"' || letter == '\'' => quote = Some(letter),
            None if letter.is_whitespace() => words.push(String::new()),
            Some(_) | None => {
                if let Some(word) = words.last_mut() {
                    word.push(letter);
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sysctls_become_the_hosts_configuration() {
        let mut settings = Settings::default();
        let commands = "sysctl -q -w net.ipv4.tcp_timestamps=0 net.ipv4.tcp_sack=0\n \
                        sysctl -q 'net.ipv4.tcp_rmem=4096 131072 262144' net.ipv4.tcp_congestion_control=reno";
        settings.run_commands(commands).unwrap();
        assert!(!settings.tcp.timestamps && !settings.tcp.sack);
        settings.run_commands("sysctl -q net.ipv4.tcp_sack=1 net.ipv4.tcp_mtu_probing=0").unwrap();
        assert!(settings.tcp.sack && !settings.tcp.mtu_probing);
        assert_eq!(settings.tcp.receive_buffer, 262_144);
    }

    #[test]
    fn what_is_not_in_the_subset_is_refused() {
        let mut settings = Settings::default();
        for commands in [
            "rm file",
            "sysctl net.ipv4.tcp_frto=2",
            "sysctl net.ipv4.tcp_other=1",
            "sysctl word",
            "sysctl net.ipv4.tcp_mtu_probing=2",
        ] {
            assert!(settings.run_commands(commands).is_err(), "{commands}");
        }
        assert!(settings.set_option("local_ip", Some("x")).is_err());
    }
}
