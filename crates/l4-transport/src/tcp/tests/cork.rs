//! The cork: only full segments leave, for a while.

use super::lab::*;
use crate::tcp::*;

fn corked(lab: &mut Lab) -> Flow {
    let flow = lab.accept();
    lab.tcp.set_cork(lab.now, flow.id, true).unwrap();
    flow
}

fn lens(sent: &[Sent]) -> Vec<usize> {
    sent.iter().map(Sent::len).collect()
}

#[test]
fn only_full_segments_leave_and_the_rest_when_it_is_taken_out() {
    for nodelay in [false, true] {
        let mut lab = Lab::plain();
        let flow = corked(&mut lab);
        lab.tcp.set_nodelay(lab.now, flow.id, nodelay).unwrap();
        lab.send(flow, &[1; 1000]);
        lab.none();
        assert_eq!(lab.info(flow).blocked_by, SendBlockedBy::Cork);
        assert_eq!(lab.tcp.counters().blocked(SendBlockedBy::Cork), 1);
        lab.send(flow, &[2; 1000]);
        assert_eq!(lens(&lab.sent()), [1460]);
        // Whatever Nagle would say: the one before it is not acknowledged.
        lab.tcp.set_cork(lab.now, flow.id, false).unwrap();
        assert_eq!(lens(&lab.sent()), [540]);
        lab.send(flow, &[3; 10]);
        assert_eq!(lab.sent().len(), usize::from(nodelay), "what follows is as ever");
    }
}

#[test]
fn it_holds_for_200_ms_and_no_window_is_probed_meanwhile() {
    let mut lab = Lab::plain();
    let flow = corked(&mut lab);
    lab.send(flow, b"half");
    assert!(lab.advance(ms(150)).is_empty());
    lab.send(flow, b" and half");
    assert!(lab.advance(ms(49)).is_empty(), "more does not make it longer");
    let sent = lab.advance(ms(1));
    assert_eq!((sent.len(), &sent[0].text[..]), (1, &b"half and half"[..]));
    assert_eq!(lab.tcp.counters().probes(ProbeCause::WindowTooSmall), 0);
    lab.ack(flow, 13);
    // It is still in.
    lab.send(flow, b"again");
    assert!(lab.advance(ms(199)).is_empty());
    assert_eq!(lens(&lab.advance(ms(1))), [5]);
}

#[test]
fn a_fin_takes_everything_along() {
    let mut lab = Lab::plain();
    let flow = corked(&mut lab);
    lab.send(flow, b"last");
    lab.none();
    lab.tcp.shutdown_write(lab.now, flow.id).unwrap();
    let sent = lab.one();
    assert_eq!((sent.len(), sent.flags()), (4, F | P | A));
}

#[test]
fn a_cork_before_anything_is_written_does_nothing() {
    let mut lab = Lab::plain();
    let flow = corked(&mut lab);
    lab.tcp.set_cork(lab.now, flow.id, false).unwrap();
    lab.none();
    lab.send(flow, b"a");
    lab.one();
    lab.send(flow, b"b");
    lab.none();
    assert_eq!(lab.info(flow).blocked_by, SendBlockedBy::Nagle);
}
