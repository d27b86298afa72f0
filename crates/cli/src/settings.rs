//! What a command is to do, decided: flags over file over defaults, every value checked.
//!
//! Nothing here looks at the machine, except for the file named by `--config` and the directory named by `--root`.

use std::fmt;
use std::num::NonZeroU16;
use std::path::{Path, PathBuf};
use std::time::Duration;

use netloom::impair::{ImpairSpec, TimeSpan};
use netloom::stack::transport::Congestion;
use netloom_base::Medium;
use netloom_device::{Offload, OpenError, check_name};
use netloom_l7_app::{ServiceSpec, Services};

use crate::args::{DEFAULT_INTERFACE_NAME, Options};
use crate::failure::Failure;

pub(crate) mod addressing;
mod config_file;

use addressing::Addressing;
use config_file::ConfigFile;

/// Smallest MTU in bytes (RFC 791 3.2 obliges every host to take 576).
const MTU_MIN: u32 = 576;
/// Smallest MTU of a link that carries IPv6, RFC 8200 section 5.
const MTU_MIN_IPV6: u32 = 1280;
/// Largest MTU that Linux lets a TAP have: 65,535 bytes less the Ethernet header.
const MTU_MAX_TAP: u32 = 65_521;
/// Largest MTU of a TUN: the largest IPv4 packet.
const MTU_MAX_TUN: u32 = 65_535;
/// Most queues: a stack and a thread each. The kernel would give 256.
const QUEUES_MAX: u16 = 64;
/// Longest that a driver may look for the next frame in vain: beyond it sleeping costs nothing that anybody notices.
const SPIN_MAX: Duration = Duration::from_secs(1);
/// The MTU unless another is asked for.
const MTU_DEFAULT: u16 = 1500;

/// Which interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InterfaceChoice {
    /// TAP ([`Medium::Ethernet`]) or TUN ([`Medium::Ip`]).
    pub(crate) medium: Medium,
    /// Its name.
    pub(crate) name: String,
}

impl InterfaceChoice {
    /// `tap` or `tun`, as in flags.
    pub(crate) fn kind(&self) -> &'static str {
        kind_name(self.medium)
    }

    /// Whether it is the one that is used without a flag.
    pub(crate) fn is_default(&self) -> bool {
        self.medium == Medium::Ethernet && self.name == DEFAULT_INTERFACE_NAME
    }
}

impl fmt::Display for InterfaceChoice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--{} {}", self.kind(), self.name)
    }
}

/// `tap` or `tun`.
pub(crate) fn kind_name(medium: Medium) -> &'static str {
    match medium {
        Medium::Ethernet => "tap",
        Medium::Ip => "tun",
    }
}

/// What `up` and `shell` are to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Settings {
    /// Which interface.
    pub(crate) interface: InterfaceChoice,
    /// The addresses of both ends.
    pub(crate) addressing: Addressing,
    /// The MTU asked for; `None`: that of an interface that exists already, else 1500.
    pub(crate) mtu: Option<u16>,
    /// Congestion control of the stack's connections.
    pub(crate) congestion: Congestion,
    /// How many queues the interface has, and so how many stacks are behind it.
    pub(crate) queues: NonZeroU16,
    /// How long the stack looks for the next frame before it sleeps; `None`: as long as it does by itself.
    pub(crate) spin: Option<Duration>,
    /// The most that the kernel and the stack may leave to each other.
    pub(crate) offload: Offload,
    /// Which services.
    pub(crate) services: Services,
    /// Directory served below `/files/`.
    pub(crate) root: Option<PathBuf>,
    /// File that gets every frame.
    pub(crate) pcap: Option<PathBuf>,
    /// Faults on the interface; `None`: not even a cable that could have some later.
    pub(crate) impair: Option<ImpairSpec>,
    /// Whether a flag said so, and not the file.
    pub(crate) impair_is_flagged: bool,
    /// The file of `--config`.
    pub(crate) config: Option<PathBuf>,
    /// How many times `-v` was given.
    pub(crate) verbosity: u8,
}

impl Settings {
    /// Reads the file named in `options`, if one is, and checks everything.
    pub(crate) fn load(options: Options) -> Result<Self, Failure> {
        let file = match &options.config {
            Some(path) => ConfigFile::read(path)?,
            None => ConfigFile::default(),
        };
        Self::resolve(options, file)
    }

    fn resolve(flags: Options, file: ConfigFile) -> Result<Self, Failure> {
        let interface = choose_interface(&flags, &file)?;
        let services = choose_services(&flags, &file)?;
        let own = if flags.address.is_empty() { file.address } else { Some(flags.address) };
        let host = if flags.host_address.is_empty() { file.host_address } else { Some(flags.host_address) };
        let addressing = Addressing::from_texts(own.as_deref(), host.as_deref())?;
        let mtu = match flags.mtu.or(file.mtu) {
            Some(mtu) => Some(check_mtu(mtu, interface.medium, &addressing)?),
            None => None,
        };
        let congestion = match flags.congestion.or(file.congestion) {
            Some(name) => choose_congestion(&name)?,
            None => Congestion::default(),
        };
        let queues = choose_queues(flags.queues.or(file.queues).unwrap_or(1))?;
        let impair_is_flagged = flags.impair.is_some();
        let impair = flags.impair.or(file.impair).as_deref().map(parse_faults).transpose()?;
        Ok(Self {
            interface,
            addressing,
            mtu,
            congestion,
            queues,
            spin: flags.spin.or(file.spin).as_deref().map(check_spin).transpose()?,
            offload: match &impair {
                None => flags.offload.or(file.offload).unwrap_or_default().most(),
                // What crosses a wire are frames, and faults happen to each.
                Some(_) => Offload::Plain,
            },
            services,
            root: flags.root.or(file.root).map(|root| check_root(&root)).transpose()?,
            pcap: flags.pcap.or(file.pcap),
            impair,
            impair_is_flagged,
            config: flags.config,
            verbosity: flags.verbose.max(file.verbose.unwrap_or(0)),
        })
    }

    /// What the file of `--config` says about faults now, if it has a say in them.
    pub(crate) fn faults_now(&self, config: &Path) -> Result<ImpairSpec, Failure> {
        if self.impair_is_flagged {
            return Err(Failure::usage("--impair was given as a flag, which wins: leave it out next time"));
        }
        if self.impair.is_none() {
            return Err(Failure::usage(format_args!(
                "they can only be changed if there was a key impair at the start: write impair = \"none\" into {} and start netloom again",
                config.display()
            )));
        }
        let file = ConfigFile::read(config)?;
        file.impair.as_deref().map_or_else(|| Ok(ImpairSpec::default()), parse_faults)
    }

    /// The MTU of an interface that netloom makes.
    pub(crate) fn mtu_to_create(&self) -> u16 {
        self.mtu.unwrap_or(MTU_DEFAULT)
    }

    /// Checks an MTU that an existing interface has.
    pub(crate) fn check_existing_mtu(&self, mtu: u32) -> Result<u16, Failure> {
        check_mtu(mtu, self.interface.medium, &self.addressing)
    }
}

fn choose_interface(flags: &Options, file: &ConfigFile) -> Result<InterfaceChoice, Failure> {
    let flagged = (flags.tap.as_deref(), flags.tun.as_deref());
    let filed = (file.tap.as_deref(), file.tun.as_deref());
    let choice = if flagged == (None, None) { filed } else { flagged };
    let (medium, name) = match choice {
        (Some(_), Some(_)) => {
            return Err(Failure::usage("the configuration has both tap and tun: keep one of them"));
        }
        (Some(name), None) => (Medium::Ethernet, name),
        (None, Some(name)) => (Medium::Ip, name),
        (None, None) => (Medium::Ethernet, DEFAULT_INTERFACE_NAME),
    };
    check_name(name)
        .map_err(|reason| Failure::usage(OpenError::BadName { name: name.to_owned(), reason }))?;
    Ok(InterfaceChoice { medium, name: name.to_owned() })
}

fn choose_services(flags: &Options, file: &ConfigFile) -> Result<Services, Failure> {
    if flags.no_services {
        return Ok(Services::none());
    }
    if !flags.service.is_empty() {
        return parse_services(&flags.service);
    }
    match (file.no_services, &file.service) {
        (Some(true), None) => Ok(Services::none()),
        (Some(true), Some(_)) => {
            Err(Failure::usage("the configuration has both service and no-services: keep one of them"))
        }
        (Some(false) | None, Some(named)) => parse_services(named),
        (Some(false) | None, None) => Ok(Services::default()),
    }
}

fn parse_services(texts: &[String]) -> Result<Services, Failure> {
    let failure = |error| Failure::usage(format_args!("--service: {error}"));
    let specs = texts.iter().map(|text| text.parse::<ServiceSpec>());
    Services::new(specs.collect::<Result<Vec<_>, _>>().map_err(failure)?).map_err(failure)
}

/// Reads the faults that `--impair` names.
pub(crate) fn parse_faults(text: &str) -> Result<ImpairSpec, Failure> {
    text.parse().map_err(|error| Failure::usage(format_args!("--impair {error}")))
}

fn choose_congestion(name: &str) -> Result<Congestion, Failure> {
    name.parse().map_err(|_| {
        let known: Vec<_> = Congestion::ALL.iter().map(|known| format!("--congestion {known}")).collect();
        Failure::usage(format_args!("--congestion {name} is unknown: type {}", known.join(" or ")))
    })
}

fn choose_queues(count: u16) -> Result<NonZeroU16, Failure> {
    match NonZeroU16::new(count) {
        Some(queues) if count <= QUEUES_MAX => Ok(queues),
        Some(_) | None => Err(Failure::usage(format_args!(
            "--queues {count} is not possible: type a number from 1 to {QUEUES_MAX}; more than there are processors help nobody"
        ))),
    }
}

fn check_spin(text: &str) -> Result<Duration, Failure> {
    match text.parse() {
        Ok(TimeSpan(span)) if span <= SPIN_MAX => Ok(span),
        Ok(TimeSpan(_)) | Err(_) => Err(Failure::usage(format_args!(
            "--spin {text} is not possible: type a time from 0 to {} with its unit, such as --spin 50us",
            TimeSpan(SPIN_MAX)
        ))),
    }
}

fn check_mtu(mtu: u32, medium: Medium, addressing: &Addressing) -> Result<u16, Failure> {
    if (MTU_MIN..MTU_MIN_IPV6).contains(&mtu) && addressing.has_ipv6() {
        return Err(Failure::usage(format_args!(
            "--mtu {mtu} is too small for IPv6: type --mtu {MTU_MIN_IPV6}, or give IPv4 addresses only: {}",
            addressing.ipv4_only().flags()
        )));
    }
    check_mtu_of(Some(mtu), medium)
}

/// Checks an MTU against what Linux lets an interface of this kind have; without one, the default.
pub(crate) fn check_mtu_of(mtu: Option<u32>, medium: Medium) -> Result<u16, Failure> {
    let Some(mtu) = mtu else { return Ok(MTU_DEFAULT) };
    let (max, kind) = match medium {
        Medium::Ethernet => (MTU_MAX_TAP, "TAP"),
        Medium::Ip => (MTU_MAX_TUN, "TUN"),
    };
    if mtu < MTU_MIN {
        return Err(Failure::usage(format_args!("--mtu {mtu} is too small: type --mtu {MTU_MIN} or more")));
    }
    match u16::try_from(mtu) {
        Ok(narrow) if mtu <= max => Ok(narrow),
        Ok(_) | Err(_) => Err(Failure::usage(format_args!(
            "--mtu {mtu} is too large for a {kind}: type --mtu {max} or less"
        ))),
    }
}

/// The directory as an absolute path.
fn check_root(root: &Path) -> Result<PathBuf, Failure> {
    let shown = root.display();
    match root.canonicalize() {
        Ok(found) if found.is_dir() => Ok(found),
        Ok(_) => Err(Failure::new(format_args!("--root {shown} is not a directory: name one"))),
        Err(error) => {
            Err(Failure::new(format_args!("--root {shown}: {error}: name a directory that exists")))
        }
    }
}

#[cfg(test)]
mod tests;
