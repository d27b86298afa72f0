//! Which of our ports are in use: what somebody who binds wants to know.

use super::lab::*;
use crate::tcp::*;

fn at(lab: &Lab, port: u16) -> TcpBind {
    TcpBind { address: Some(lab.local), port }
}

#[test]
fn a_connection_has_its_port_until_nothing_is_left_of_it() {
    for accepts in [true, false] {
        let mut lab = Lab::plain();
        let here = at(&lab, LOCAL_PORT);
        assert!(!lab.tcp.is_connected_from(here));
        let flow = if accepts { lab.accept() } else { lab.connect_with(Default::default()) };
        assert!(lab.tcp.is_connected_from(here));
        assert!(lab.tcp.is_connected_from(TcpBind { address: None, ..here }));
        assert!(lab.tcp.is_connected_from(TcpBind { address: Some("0.0.0.0".parse().unwrap()), ..here }));
        assert!(!lab.tcp.is_connected_from(TcpBind { address: Some("10.0.0.3".parse().unwrap()), ..here }));
        assert!(!lab.tcp.is_connected_from(at(&lab, LOCAL_PORT + 1)));

        lab.tcp.close(lab.now, flow.id);
        lab.one();
        lab.inject(F | A, flow.theirs, flow.ours.wrapping_add(1), &[]).unwrap();
        lab.one();
        assert_eq!(lab.tcp.usage().time_wait, 1);
        assert!(lab.tcp.is_connected_from(here), "TIME-WAIT counts");
        lab.advance(ms(60_000));
        assert!(!lab.tcp.is_connected_from(here));
    }
}

#[test]
fn a_reset_frees_the_port_though_the_user_holds_the_socket() {
    let mut lab = Lab::plain();
    let flow = lab.accept();
    lab.inject(R, flow.theirs, 0, &[]).unwrap();
    assert_eq!(lab.tcp.usage().connections, 1);
    assert!(!lab.tcp.is_connected_from(at(&lab, LOCAL_PORT)));
}

#[test]
fn a_listener_has_its_port_until_it_closes() {
    let mut lab = Lab::plain();
    let listener = lab.listen();
    assert!(lab.tcp.is_listened_on(at(&lab, LOCAL_PORT)));
    assert!(!lab.tcp.is_listened_on(at(&lab, LOCAL_PORT + 1)));
    assert!(!lab.tcp.is_connected_from(at(&lab, LOCAL_PORT)), "nobody has come");
    lab.tcp.close_listener(lab.now, listener);
    assert!(!lab.tcp.is_listened_on(at(&lab, LOCAL_PORT)));
}
