//! Congestion control as a connection uses it: by default, by its socket, and changed on the way.

use super::lab::*;
use crate::tcp::*;

/// A flow whose listener was told `congestion`, with ten segments in flight of which the first was lost.
fn after_a_loss(congestion: Option<Congestion>, config: TcpConfig) -> (Lab, Flow) {
    let mut lab = Lab::new(config);
    let socket = SocketOptions { congestion, ..SocketOptions::default() };
    lab.listen_with(ListenOptions { socket, ..ListenOptions::default() });
    let flow = lab.accept();
    lab.send(flow, &[1; 10 * MSS]);
    assert_eq!(lab.sent().len(), 10);
    lab.advance(ms(1000));
    (lab, flow)
}

#[test]
fn a_socket_chooses_its_congestion_control() {
    // [9293 MAY-18] [9438-09] [9438-13] [5681-14]
    let cubic = || TcpConfig { congestion: Congestion::default(), ..plain_config() };
    for (config, asked, expected, ssthresh) in [
        (cubic(), None, Congestion::Cubic, 10_220),
        (cubic(), Some(Congestion::NewReno), Congestion::NewReno, 7300),
        (plain_config(), None, Congestion::NewReno, 7300),
        (plain_config(), Some(Congestion::Cubic), Congestion::Cubic, 10_220),
    ] {
        let (lab, flow) = after_a_loss(asked, config);
        let info = lab.info(flow);
        assert_eq!((info.congestion, info.ssthresh), (expected, Some(ssthresh)));
    }
}

#[test]
fn another_one_goes_on_from_the_window_as_it_is() {
    // [9293 MAY-18]
    let (mut lab, flow) = after_a_loss(None, plain_config());
    let before = lab.info(flow);
    lab.tcp.set_congestion(lab.now, flow.id, Congestion::Cubic).unwrap();
    let after = lab.info(flow);
    assert_eq!(after.congestion, Congestion::Cubic);
    assert_eq!((after.cwnd, after.ssthresh), (before.cwnd, before.ssthresh));
    assert_eq!(lab.tcp.options(flow.id).unwrap().congestion, Some(Congestion::Cubic));
    lab.tcp.abort(lab.now, flow.id);
    assert_eq!(lab.tcp.set_congestion(lab.now, flow.id, Congestion::NewReno), Err(NoSuchSocket));
}

#[test]
fn the_delivery_rate_is_shown_after_a_round_trip() {
    let mut lab = Lab::new(plain_config());
    let flow = lab.accept();
    assert_eq!(lab.info(flow).delivery_rate, None);
    for segment in 1..=50_u32 {
        lab.send(flow, &[1; MSS]);
        lab.sent();
        lab.now += ms(10);
        lab.ack(flow, segment * 1460);
    }
    // One segment in ten milliseconds.
    assert_eq!(lab.info(flow).delivery_rate, Some(146_000));
}
