//! The programs that the tests and the measurements drive, and how to get them.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, bail};

use crate::steps;

/// A program that others start.
struct Tool {
    program: &'static str,
    /// The Debian packages that bring it.
    packages: &'static [&'static str],
    /// Words that one of its options prints, where several programs share the name.
    told_by: Option<(&'static str, &'static str)>,
}

/// What the tests start.
const TOOLS: &[Tool] = &[
    tool("arping", &["iputils-arping"], Some(("-V", "iputils"))),
    tool("cc", &["gcc", "libc6-dev"], None),
    tool("curl", &["curl"], None),
    tool("ip", &["iproute2"], None),
    tool("iperf3", &["iperf3"], None),
    tool("nc", &["netcat-openbsd"], Some(("-h", "OpenBSD"))),
    tool("openssl", &["openssl"], None),
    tool("ping", &["iputils-ping"], Some(("-V", "iputils"))),
    tool("redis-server", &["redis-server"], None),
    tool("setpriv", &["util-linux"], None),
    tool("sysctl", &["procps"], None),
    tool("tcpdump", &["tcpdump"], None),
    tool("traceroute", &["traceroute"], None),
    tool("unshare", &["util-linux"], None),
];

/// What the scripts of the measurements start.
const MEASURING_TOOLS: &[Tool] = &[
    tool("ip", &["iproute2"], None),
    tool("iperf3", &["iperf3"], None),
    tool("ping", &["iputils-ping"], Some(("-V", "iputils"))),
    tool("sysctl", &["procps"], None),
    tool("unshare", &["util-linux"], None),
    tool("wrk", &["wrk"], None),
];

/// What profiles take besides.
const PROFILING_TOOLS: &[Tool] = &[tool("perf", &["linux-perf"], None)];

const fn tool(
    program: &'static str,
    packages: &'static [&'static str],
    told_by: Option<(&'static str, &'static str)>,
) -> Tool {
    Tool { program, packages, told_by }
}

/// Directories that are not always in a user's PATH.
const SYSTEM_DIRECTORIES: &[&str] = &["/usr/sbin", "/sbin"];

/// Looks for every tool of the tests, and installs what is missing where that can be done; false if something stays missing.
pub(crate) fn ensure() -> Result<bool> {
    let mut complete = true;
    for (subcommand, component) in [("fmt", "rustfmt"), ("clippy", "clippy")] {
        if !steps::has_cargo(subcommand) {
            eprintln!("cargo {subcommand} is missing; type: rustup component add {component}");
            complete = false;
        }
    }
    let lines = find_or_install(TOOLS)?;
    complete &= lines.is_empty();
    if complete {
        eprintln!("every tool is here");
    }
    for line in lines {
        eprintln!("{line}");
    }
    Ok(complete)
}

/// Looks for every tool of the measurements, and installs what is missing where that can be done.
pub(crate) fn ensure_measuring() -> Result<()> {
    if !is_root() {
        bail!("only root may measure, as that takes network namespaces");
    }
    ensure_all(MEASURING_TOOLS)
}

/// The same for every tool of profiles, which are of what the measurements start.
pub(crate) fn ensure_profiling() -> Result<()> {
    ensure_measuring()?;
    ensure_all(PROFILING_TOOLS)
}

fn ensure_all(tools: &'static [Tool]) -> Result<()> {
    let lines = find_or_install(tools)?;
    if !lines.is_empty() {
        bail!("{}", lines.join("; "));
    }
    Ok(())
}

/// What to type to get those of `tools` that are not here, and cannot be installed from here.
fn find_or_install(tools: &'static [Tool]) -> Result<Vec<String>> {
    let mut missing = missing(tools);
    let is_debian = is_debian_here();
    if !missing.is_empty() && is_debian && is_root() {
        eprintln!("installing {}", packages(&missing).join(" "));
        install(&packages(&missing))?;
        missing = self::missing(tools);
    }
    Ok(if missing.is_empty() { Vec::new() } else { instructions(&missing, is_debian) })
}

/// Whether a program is there that no test needs, or is now, from the Debian package of its name.
pub(crate) fn has_or_installs(program: &'static str) -> Result<bool> {
    let tool = tool(program, &[], None);
    let directories = directories();
    if !is_here(&tool, &directories) && is_debian_here() && is_root() {
        eprintln!("installing {program}");
        install(&[program])?;
    }
    Ok(is_here(&tool, &directories))
}

/// Where the tools are looked for; the tests get it as their PATH, as `traceroute` is not in every user's.
pub(crate) fn directories() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).chain(SYSTEM_DIRECTORIES.iter().map(PathBuf::from)).collect()
}

fn missing(tools: &'static [Tool]) -> Vec<&'static Tool> {
    let directories = directories();
    tools.iter().filter(|tool| !is_here(tool, &directories)).collect()
}

fn is_here(tool: &Tool, directories: &[PathBuf]) -> bool {
    let Some(program) =
        directories.iter().map(|directory| directory.join(tool.program)).find(|path| path.is_file())
    else {
        return false;
    };
    tool.told_by.is_none_or(|(option, word)| says(&program, option, word))
}

/// Whether the program, asked with `option`, prints `word`.
fn says(program: &Path, option: &str, word: &str) -> bool {
    let Ok(output) = Command::new(program).arg(option).output() else { return false };
    [output.stdout, output.stderr].iter().any(|text| String::from_utf8_lossy(text).contains(word))
}

fn packages(tools: &[&Tool]) -> Vec<&'static str> {
    let mut packages: Vec<&str> = tools.iter().flat_map(|tool| tool.packages.iter().copied()).collect();
    packages.sort_unstable();
    packages.dedup();
    packages
}

/// What to type to get the tools.
fn instructions(missing: &[&Tool], is_debian: bool) -> Vec<String> {
    let programs: Vec<&str> = missing.iter().map(|tool| tool.program).collect();
    let packages = packages(missing).join(" ");
    let mut lines = vec![format!("this needs programs that are not here: {}", programs.join(", "))];
    lines.push(if is_debian {
        format!("type: sudo apt-get install {packages}")
    } else {
        format!("install what your system has in place of Debian's packages: {packages}")
    });
    lines
}

fn is_debian_here() -> bool {
    fs::read_to_string("/etc/os-release").is_ok_and(|text| is_debian(&text))
}

/// Whether /etc/os-release tells of Debian or of a system made from it.
fn is_debian(os_release: &str) -> bool {
    os_release
        .lines()
        .filter_map(|line| line.strip_prefix("ID=").or_else(|| line.strip_prefix("ID_LIKE=")))
        .flat_map(|value| value.trim_matches('"').split_whitespace())
        .any(|id| id == "debian" || id == "ubuntu")
}

fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|metadata| metadata.uid() == 0)
}

/// Installs packages without asking; a failure shows itself in the tools that are still missing.
fn install(packages: &[&str]) -> Result<()> {
    let apt_get = |arguments: &[&str]| {
        Command::new("apt-get").env("DEBIAN_FRONTEND", "noninteractive").args(arguments).status()
    };
    apt_get(&["update", "--quiet"])?;
    apt_get(&[&["install", "--yes", "--no-install-recommends", "--quiet"], packages].concat())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_named_with_its_package() {
        let missing: Vec<&Tool> =
            TOOLS.iter().filter(|tool| ["nc", "unshare", "setpriv"].contains(&tool.program)).collect();
        let lines = instructions(&missing, true);
        assert_eq!(lines[0], "this needs programs that are not here: nc, setpriv, unshare");
        assert_eq!(lines[1], "type: sudo apt-get install netcat-openbsd util-linux");
        assert!(instructions(&missing, false)[1].ends_with("netcat-openbsd util-linux"));
    }

    #[test]
    fn the_scripts_start_what_is_looked_for() {
        let bench = include_str!("../../scripts/bench-lab");
        let all = [bench, include_str!("../../scripts/goodput-lab")].concat();
        for tool in MEASURING_TOOLS {
            assert!(all.contains(tool.program), "{}", tool.program);
        }
    }

    #[test]
    fn debian_and_its_children_are_known() {
        for (text, expected) in [
            ("NAME=x\nID=debian\n", true),
            ("ID=ubuntu\nID_LIKE=debian\n", true),
            ("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n", true),
            ("ID=fedora\nVARIANT_ID=debian\n", false),
            ("", false),
        ] {
            assert_eq!(is_debian(text), expected, "{text}");
        }
    }

    #[test]
    fn a_program_of_the_same_name_is_not_the_tool() {
        let directories = [PathBuf::from("/usr/bin"), PathBuf::from("/bin")];
        assert!(is_here(&tool("echo", &[], Some(("OpenBSD", "OpenBSD"))), &directories));
        assert!(!is_here(&tool("echo", &[], Some(("GNU", "OpenBSD"))), &directories));
        assert!(!is_here(&tool("netloom-no-such-command", &[], None), &directories));
    }
}
