//! The TOML file of `--config`: each option a key of the same name.
//!
//! Relative paths in it are relative to the file. An option that may be given again and again is an array.

use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::args::OffloadChoice;
use crate::failure::Failure;

/// What the file says; absent keys are `None`.
#[derive(Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct ConfigFile {
    /// Name of a TAP.
    pub(crate) tap: Option<String>,
    /// Name of a TUN.
    pub(crate) tun: Option<String>,
    /// The stack's addresses.
    pub(crate) address: Option<Vec<String>>,
    /// The kernel's addresses.
    pub(crate) host_address: Option<Vec<String>>,
    /// Largest IP packet in bytes.
    pub(crate) mtu: Option<u32>,
    /// Congestion control.
    pub(crate) congestion: Option<String>,
    /// Queues of the interface.
    pub(crate) queues: Option<u16>,
    /// How long the stack looks for the next frame before it sleeps.
    pub(crate) spin: Option<String>,
    /// What the kernel and the stack leave to each other.
    pub(crate) offload: Option<OffloadChoice>,
    /// Services, each `NAME` or `NAME=PORT`.
    pub(crate) service: Option<Vec<String>>,
    /// Serve nothing.
    pub(crate) no_services: Option<bool>,
    /// Directory served below `/files/`.
    pub(crate) root: Option<PathBuf>,
    /// File that gets every frame.
    pub(crate) pcap: Option<PathBuf>,
    /// Faults on the interface.
    pub(crate) impair: Option<String>,
    /// As many times as `-v` would be given.
    pub(crate) verbose: Option<u8>,
}

impl ConfigFile {
    /// Reads and parses the file.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let shown = path.display();
        let text = std::fs::read_to_string(path).map_err(|error| {
            Failure::new(format_args!("--config {shown}: {error}: name a file that exists"))
        })?;
        let mut file =
            Self::parse(&text).map_err(|problem| Failure::usage(format_args!("{shown}:{problem}")))?;
        let folder = path.parent().unwrap_or(Path::new(""));
        for inner in [&mut file.root, &mut file.pcap].into_iter().flatten() {
            *inner = folder.join(&inner);
        }
        Ok(file)
    }

    /// Parses the text; the error is `LINE: what is wrong`.
    fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| {
            let start = error.span().map_or(0, |span| span.start);
            let line = text.bytes().take(start).filter(|&byte| byte == b'\n').count() + 1;
            format!("{line}: {}", error.message())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_option_is_a_key() {
        let file = ConfigFile::parse(
            r#"
            tun = "tun7"
            address = ["10.1.0.2/24"]
            host-address = ["10.1.0.1/24"]
            mtu = 9000
            congestion = "newreno"
            queues = 2
            offload = "checksum"
            service = ["http=8080"]
            no-services = false
            root = "/srv"
            pcap = "out.pcapng"
            impair = "loss=1%"
            verbose = 1
            "#,
        )
        .unwrap();
        assert_eq!(file.tun.as_deref(), Some("tun7"));
        assert_eq!(file.host_address, Some(vec!["10.1.0.1/24".to_owned()]));
        assert_eq!((file.mtu, file.verbose, file.queues), (Some(9000), Some(1), Some(2)));
        assert_eq!(file.congestion.as_deref(), Some("newreno"));
        assert_eq!(file.offload, Some(OffloadChoice::Checksum));
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let problem = ConfigFile::parse("mtu = 1500\nadress = []\n").unwrap_err();
        assert!(problem.starts_with("2: unknown field `adress`"), "{problem}");
        assert!(ConfigFile::parse("mtu = \"x\"").unwrap_err().starts_with("1: invalid type"));
        assert!(ConfigFile::parse("mtu 1500").is_err());
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("netloom.toml");
        std::fs::write(&path, "pcap = \"x.pcapng\"\nroot = \"/srv\"\n").unwrap();
        let file = ConfigFile::read(&path).unwrap();
        assert_eq!(file.pcap, Some(folder.path().join("x.pcapng")));
        assert_eq!(file.root, Some(PathBuf::from("/srv")));
    }
}
