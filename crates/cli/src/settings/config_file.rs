//! The TOML file of `--config`: each option a key of the same name.
//!
//! Relative paths in it are relative to the file. An option that may be given again and again is an array, or one text.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer};

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
    #[serde(default, deserialize_with = "one_or_more")]
    pub(crate) address: Option<Vec<String>>,
    /// The kernel's addresses.
    #[serde(default, deserialize_with = "one_or_more")]
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
    #[serde(default, deserialize_with = "offload")]
    pub(crate) offload: Option<OffloadChoice>,
    /// Services, each `NAME` or `NAME=PORT`.
    #[serde(default, deserialize_with = "one_or_more")]
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

/// What may be given again and again.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a text or an array of texts is wanted, such as [\"one\", \"another\"]")]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

fn one_or_more<'de, D: Deserializer<'de>>(value: D) -> Result<Option<Vec<String>>, D::Error> {
    OneOrMore::deserialize(value).map(|texts| match texts {
        OneOrMore::One(text) => Some(vec![text]),
        OneOrMore::More(texts) => Some(texts),
    })
}

/// An [`OffloadChoice`]: whatever stands there instead, the line says what it can be.
#[derive(Deserialize)]
#[serde(untagged, expecting = "offload is \"on\", \"checksum\" or \"off\"")]
enum Offloaded {
    Choice(OffloadChoice),
}

fn offload<'de, D: Deserializer<'de>>(value: D) -> Result<Option<OffloadChoice>, D::Error> {
    Offloaded::deserialize(value).map(|Offloaded::Choice(choice)| Some(choice))
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
    use clap::ValueEnum;

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
    fn what_may_be_given_again_and_again_may_be_one_text() {
        let text = "address = \"10.0.0.2/24\"\nhost-address = \"10.0.0.1/24\"\nservice = \"http\"\n";
        let file = ConfigFile::parse(text).unwrap();
        assert_eq!(file.address, Some(vec!["10.0.0.2/24".to_owned()]));
        assert_eq!(file.host_address, Some(vec!["10.0.0.1/24".to_owned()]));
        assert_eq!(file.service, Some(vec!["http".to_owned()]));
        for value in ["7", "true", "[7]", "[[]]"] {
            let problem = ConfigFile::parse(&format!("mtu = 1500\naddress = {value}\n")).unwrap_err();
            assert!(problem.starts_with("2: a text or an array of texts is wanted"), "{value}: {problem}");
        }
    }

    #[test]
    fn what_no_offload_is_is_refused_with_what_it_can_be() {
        for value in ["true", "1", "\"yes\"", "[]"] {
            let problem = ConfigFile::parse(&format!("mtu = 1500\noffload = {value}\n")).unwrap_err();
            assert!(problem.starts_with("2: offload is "), "{value}: {problem}");
            for choice in OffloadChoice::value_variants() {
                let name = format!("\"{}\"", choice.to_possible_value().unwrap().get_name());
                assert!(problem.contains(&name), "{name}: {problem}");
                assert!(ConfigFile::parse(&format!("offload = {name}")).unwrap().offload == Some(*choice));
            }
        }
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
