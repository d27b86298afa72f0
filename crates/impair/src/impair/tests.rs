//! What can be typed, what it means, and what is said about what cannot.

use core::time::Duration;

use super::error::KNOWN_KEYS;
use super::*;
use crate::share::Share;

fn parse(text: &str) -> ImpairSpec {
    text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn complaint(text: &str) -> String {
    text.parse::<ImpairSpec>().map(|spec| spec.to_string()).expect_err(text).to_string()
}

#[test]
fn every_key_is_read() {
    let spec = parse(
        "delay=10ms,jitter=1ms,loss=1%,burst=4,reorder=0.5%,reorder-by=3ms,dup=0.1%,corrupt=0.01%,rate=1gbit,queue=500,\
         mark=100,mtu=1400,seed=7",
    );
    let expected = LinkConfig {
        rate: core::num::NonZeroU64::new(1_000_000_000),
        queue: 500,
        mark_from: Some(100),
        delay: Duration::from_millis(10),
        jitter: Duration::from_millis(1),
        loss: Share::from_percent(1),
        burst: NonZeroU32::new(4).unwrap(),
        reorder: Share::from_parts_per_billion(5_000_000),
        reorder_by: Duration::from_millis(3),
        duplicate: Share::from_parts_per_billion(1_000_000),
        corrupt: Share::from_parts_per_billion(100_000),
        mtu: Some(1400),
        ..LinkConfig::default()
    };
    assert_eq!(spec, ImpairSpec { inbound: expected.clone(), outbound: expected, seed: Some(7) });
}

#[test]
fn a_direction_holds_until_the_next() {
    let spec = parse("delay=10ms,in:loss=1%,burst=4,out:loss=2%,both:dup=3%");
    assert_eq!(spec.inbound, parse("delay=10ms,loss=1%,burst=4,dup=3%").inbound);
    assert_eq!(spec.outbound, parse("delay=10ms,loss=2%,dup=3%").outbound);
    assert_eq!(parse("in:loss=1%").outbound, LinkConfig::default());
}

#[test]
fn what_is_printed_reads_back() {
    for text in [
        "none",
        "seed=7",
        "delay=10ms,jitter=1ms,loss=1%,burst=4,reorder=0.5%,dup=0.1%,corrupt=0.01%,rate=1gbit,queue=500",
        "in:loss=1%",
        "out:rate=1500kbit,mtu=576",
        "rate=100mbit,queue=500,mark=20,mtu=1400",
        "seed=1,in:delay=1500us,out:delay=2s,reorder=1%,reorder-by=10ms",
    ] {
        assert_eq!(parse(text).to_string(), text);
    }
    // Nothing but defaults, spelled out.
    assert_eq!(parse("delay=0,loss=0%,burst=1,rate=1bit,queue=1000").to_string(), "rate=1bit");
    assert_eq!(parse("delay=1.5s, rate=2.5mbit").to_string(), "delay=1500ms,rate=2500kbit");
}

#[test]
fn a_mistake_is_explained_in_one_line() {
    let cases = [
        ("dely=10ms", "there is no fault `dely`; the keys are "),
        ("", "`` is not key=value as in loss=1%; the keys are "),
        ("loss", "`loss` is not key=value"),
        ("in:", "`in:` is not key=value"),
        ("loss=1", "loss=1: loss takes a percentage from 0% to 100%, such as 0.5%"),
        ("loss=101%", "loss=101%: loss takes"),
        ("delay=10", "delay=10: delay takes a time with its unit"),
        ("delay=0.1ns", "delay=0.1ns: delay takes"),
        ("delay=99999999999s", "delay=99999999999s: delay takes"),
        ("rate=0bit", "rate=0bit: rate takes bits a second"),
        ("rate=1gbps", "rate=1gbps: rate takes"),
        ("loss=1%,burst=0", "burst=0: burst takes"),
        ("rate=1gbit,queue=0", "queue=0: queue takes"),
        ("rate=1gbit,mark=0", "mark=0: mark takes a number of frames"),
        ("mtu=67", "mtu=67: mtu takes"),
        ("seed=x", "seed=x: seed takes a number"),
        ("seed=1,seed=2", "seed is given twice"),
        ("loss=1%,in:loss=2%", "loss is given twice for the same direction"),
        ("burst=4", "burst does nothing without loss"),
        ("queue=10", "queue does nothing without rate"),
        ("mark=10", "mark does nothing without rate"),
        ("in:reorder=1%,out:reorder-by=1ms", "reorder-by does nothing without reorder"),
    ];
    for (text, expected) in cases {
        let complaint = complaint(text);
        assert!(complaint.starts_with(expected), "{text}: {complaint}");
        assert!(!complaint.contains('\n'));
    }
}

#[test]
fn the_complaint_names_every_key() {
    for key in KNOWN_KEYS.split(", ") {
        // A value that nothing takes: only an unknown key would be called unknown.
        let complaint = complaint(&format!("{key}=?"));
        assert!(complaint.contains(" takes "), "{complaint}");
    }
}

#[test]
fn the_same_seed_makes_the_same_links() {
    let spec = parse("loss=50%,seed=3");
    let fates = |fallback| {
        spec.links(Medium::Ip, fallback).map(|mut link| {
            (0..100).map(|_| link.offer(netloom_base::Instant::ZERO, vec![0; 100])).collect::<Vec<_>>()
        })
    };
    let [inbound, outbound] = fates(1);
    assert_ne!(inbound, outbound);
    assert_eq!([inbound, outbound], fates(2));
}
