//! Flags over file over defaults, and values at their bounds.

use super::*;
use crate::args::OffloadChoice;

fn resolve(flags: Options, file: ConfigFile) -> Result<Settings, String> {
    Settings::resolve(flags, file).map_err(|failure| failure.to_string())
}

#[test]
fn defaults_are_those_of_the_contract() {
    let settings = resolve(Options::default(), ConfigFile::default()).unwrap();
    assert_eq!(settings.interface.to_string(), "--tap netloom0");
    assert_eq!(settings.mtu_to_create(), 1500);
    assert_eq!(settings.services, Services::default());
    assert_eq!(settings.congestion, Congestion::Cubic);
}

#[test]
fn flags_win_over_the_file() {
    let file = || ConfigFile {
        tap: Some("tap1".into()),
        mtu: Some(9000),
        congestion: Some("newreno".into()),
        service: Some(vec!["echo".into()]),
        address: Some(vec!["10.9.0.2/24".into()]),
        host_address: Some(vec!["10.9.0.1/24".into()]),
        ..ConfigFile::default()
    };
    let filed = resolve(Options::default(), file()).unwrap();
    assert_eq!((filed.interface.to_string().as_str(), filed.mtu), ("--tap tap1", Some(9000)));
    assert_eq!(filed.congestion, Congestion::NewReno);
    assert_eq!(filed.services, parse_services(&["echo=7".into()]).unwrap());

    let flags = Options {
        tun: Some("tun1".into()),
        mtu: Some(1400),
        congestion: Some("cubic".into()),
        no_services: true,
        address: vec!["10.9.0.3/24".into()],
        ..Options::default()
    };
    let flagged = resolve(flags, file()).unwrap();
    assert_eq!((flagged.interface.to_string().as_str(), flagged.mtu), ("--tun tun1", Some(1400)));
    assert_eq!(flagged.services, Services::none());
    assert_eq!(flagged.congestion, Congestion::Cubic);
    assert_eq!(flagged.addressing.flags(), "--address 10.9.0.3/24 --host-address 10.9.0.1/24");
}

#[test]
fn contradictions_of_the_file_are_refused() {
    let both = ConfigFile { tap: Some("a".into()), tun: Some("b".into()), ..ConfigFile::default() };
    assert!(resolve(Options::default(), both).unwrap_err().contains("both tap and tun"));
    let both = ConfigFile { no_services: Some(true), service: Some(vec![]), ..ConfigFile::default() };
    assert!(resolve(Options::default(), both).unwrap_err().contains("keep one"));
}

#[test]
fn mtu_has_bounds() {
    let with = |mtu: u32, tun: bool, ipv4_only: bool| {
        let mut flags = Options { mtu: Some(mtu), ..Options::default() };
        if tun {
            flags.tun = Some("tun0".into());
        }
        if ipv4_only {
            flags.address = vec!["10.0.0.2/24".into()];
            flags.host_address = vec!["10.0.0.1/24".into()];
        }
        resolve(flags, ConfigFile::default()).map(|settings| settings.mtu)
    };
    assert_eq!(with(576, false, true), Ok(Some(576)));
    assert!(with(575, false, true).unwrap_err().contains("--mtu 576"));
    assert!(with(1279, false, false).unwrap_err().contains("--mtu 1280"));
    assert_eq!(with(1280, false, false), Ok(Some(1280)));
    assert_eq!(with(65_521, false, false), Ok(Some(65_521)));
    assert!(with(65_522, false, false).unwrap_err().contains("--mtu 65521"));
    assert_eq!(with(65_535, true, false), Ok(Some(65_535)));
    assert!(with(65_536, true, false).unwrap_err().contains("--mtu 65535"));
    assert!(with(u32::MAX, true, false).is_err());
}

#[test]
fn names_that_the_kernel_refuses_or_owns_are_refused() {
    for name in ["", "a-name-of-16-len", "a/b", "a b", "tap%d", "a:1", "..", "all", "default", "a\n"] {
        let flags = Options { tap: Some(name.into()), ..Options::default() };
        let line = resolve(flags, ConfigFile::default()).unwrap_err();
        assert!(line.contains("such as netloom0"), "{line}");
    }
    let flags = Options { tun: Some("fifteen-bytes-x".into()), ..Options::default() };
    assert!(resolve(flags, ConfigFile::default()).is_ok());
}

#[test]
fn a_root_must_be_a_directory() {
    let folder = tempfile::tempdir().unwrap();
    let with =
        |root: PathBuf| resolve(Options { root: Some(root), ..Options::default() }, ConfigFile::default());
    assert!(with(folder.path().to_owned()).is_ok());
    assert!(with(folder.path().join("absent")).unwrap_err().contains("name a directory"));
    std::fs::write(folder.path().join("file"), "").unwrap();
    assert!(with(folder.path().join("file")).unwrap_err().contains("not a directory"));
}

#[test]
fn services_are_checked() {
    let with = |service: &str| {
        resolve(
            Options { service: vec!["http".into(), service.into()], ..Options::default() },
            ConfigFile::default(),
        )
    };
    assert!(with("http=8080").is_ok());
    assert!(with("gopher").unwrap_err().starts_with("--service: no service is called 'gopher'"));
    assert!(with("echo=80").unwrap_err().contains("cannot share port 80"));
}

#[test]
fn faults_take_the_offloads_away() {
    let with = |offload, impair: Option<&str>| {
        let flags = Options { offload, impair: impair.map(str::to_owned), ..Options::default() };
        resolve(flags, ConfigFile::default()).unwrap().offload
    };
    assert_eq!(with(None, None), Offload::Full);
    assert_eq!(with(Some(OffloadChoice::Checksum), None), Offload::Checksum);
    assert_eq!(with(Some(OffloadChoice::Off), None), Offload::Plain);
    assert_eq!(with(Some(OffloadChoice::On), Some("loss=1%")), Offload::Plain);
}

#[test]
fn queues_have_bounds_and_may_have_faults() {
    let with = |queues, impair: Option<&str>| {
        let flags = Options { queues, impair: impair.map(str::to_owned), ..Options::default() };
        resolve(flags, ConfigFile { queues: Some(3), ..ConfigFile::default() })
            .map(|settings| settings.queues.get())
    };
    assert_eq!(with(None, None), Ok(3));
    assert_eq!(with(Some(2), None), Ok(2));
    assert_eq!(with(Some(QUEUES_MAX), None), Ok(QUEUES_MAX));
    assert_eq!(with(Some(2), Some("loss=1%")), Ok(2));
    for queues in [0, 65] {
        assert!(with(Some(queues), None).unwrap_err().contains("from 1 to 64"), "{queues}");
    }
}

#[test]
fn a_spin_has_a_bound_and_a_unit() {
    let with = |spin: Option<&str>| {
        let flags = Options { spin: spin.map(str::to_owned), ..Options::default() };
        resolve(flags, ConfigFile { spin: Some("20us".into()), ..ConfigFile::default() })
            .map(|settings| settings.spin)
    };
    assert_eq!(resolve(Options::default(), ConfigFile::default()).unwrap().spin, None);
    assert_eq!(with(None), Ok(Some(Duration::from_micros(20))));
    for (text, span) in [
        ("0", Duration::ZERO),
        ("0us", Duration::ZERO),
        ("1.5ms", Duration::from_micros(1500)),
        ("1s", SPIN_MAX),
    ] {
        assert_eq!(with(Some(text)), Ok(Some(span)), "{text}");
    }
    for text in ["1001ms", "20", "-1us", "fast", ""] {
        assert!(with(Some(text)).unwrap_err().contains("from 0 to 1s with its unit"), "{text}");
    }
}
