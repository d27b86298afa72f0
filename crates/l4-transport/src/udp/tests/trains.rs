//! Datagrams that wait, and become trains where devices cut those.

use super::*;

/// A layer above devices that cut trains, with a socket at port 7.
fn cutting() -> (Udp, UdpSocketId) {
    let mut udp = udp();
    udp.set_makes_trains(true);
    let id = bind(&mut udp, None, 7);
    (udp, id)
}

/// What is handed out: lengths of the data, and of the datagrams if it is a train.
fn handed_out(udp: &mut Udp) -> Vec<(usize, Option<u16>)> {
    core::iter::from_fn(|| udp.poll_transmit())
        .map(|output| (output.data.len(), output.segment_size.map(NonZeroU16::get)))
        .collect()
}

#[test]
fn datagrams_that_wait_are_handed_out_as_trains() {
    for Cast { peer, .. } in casts() {
        let most = UdpHeader::max_payload_len(peer);
        let to = at(peer, 53);
        for (lens, expected) in [
            (&[100; 3][..], &[(300, Some(100))][..]),
            // Only the last may be shorter.
            (&[100, 100, 99, 99], &[(299, Some(100)), (99, None)]),
            (&[99, 100], &[(99, None), (100, None)]),
            // None is empty.
            (&[100, 0, 100], &[(100, None), (0, None), (100, None)]),
            (&[0, 0], &[(0, None), (0, None)]),
            (&[3; 66], &[(192, Some(3)), (6, Some(3))]),
            // It has the length of one datagram at most.
            (&[1000; 64], &[(64_000, Some(1000))]),
            (&[30_000; 3], &[(60_000, Some(30_000)), (30_000, None)]),
            (&[most, 1], &[(most, None), (1, None)]),
        ] {
            let (mut udp, id) = cutting();
            for (number, &len) in lens.iter().enumerate() {
                let data = vec![number.to_le_bytes()[0]; len];
                udp.send_to(id, to, None, &data).unwrap();
            }
            assert_eq!(handed_out(&mut udp), expected, "{lens:?}");
            assert_eq!(udp.counters().sent.get(), lens.len() as u64);
            assert_eq!(udp.info(id).map(|info| info.send_queue_bytes), Some(0));
            udp.close(id);
            assert!(udp.is_clean());
        }
    }
}

#[test]
fn the_bytes_of_a_train_are_those_of_its_datagrams_in_order() {
    let [Cast { peer, .. }, _] = casts();
    let (mut udp, id) = cutting();
    for data in [b"one", b"two", b"six"] {
        udp.send_to(id, at(peer, 53), None, data).unwrap();
    }
    udp.send_to(id, at(peer, 53), None, b"!").unwrap();
    assert_eq!(udp.poll_transmit().map(|output| output.data), Some(b"onetwosix!".to_vec()));
}

#[test]
fn only_what_is_sent_alike_is_one_train() {
    for Cast { ours, second, peer, stranger, .. } in casts() {
        let (mut udp, id) = cutting();
        let send = |udp: &mut Udp, to, source| udp.send_to(id, to, source, b"data").unwrap();
        send(&mut udp, at(peer, 53), None);
        send(&mut udp, at(peer, 54), None);
        send(&mut udp, at(stranger, 54), None);
        send(&mut udp, at(stranger, 54), Some(ours));
        send(&mut udp, at(stranger, 54), Some(second));
        for options in [
            UdpOptions { hop_limit: Some(3), ..UdpOptions::default() },
            UdpOptions { traffic_class: 4, ..UdpOptions::default() },
            UdpOptions { dont_fragment: true, ..UdpOptions::default() },
            UdpOptions { loops_to_groups: false, ..UdpOptions::default() },
        ] {
            assert!(udp.set_options(id, options));
            send(&mut udp, at(stranger, 54), Some(second));
        }
        assert_eq!(handed_out(&mut udp), [(4, None); 9]);
        // Of one of everywhere, each port of its own.
        let any = udp.bind_any().unwrap();
        for port in [80, 80, 81] {
            udp.send_from(any, at(ours, port), at(peer, 53), b"data").unwrap();
        }
        assert_eq!(handed_out(&mut udp), [(8, Some(4)), (4, None)]);
    }
}

#[test]
fn a_train_that_was_asked_for_is_joined_but_joins_none() {
    let [Cast { peer, .. }, _] = casts();
    let (mut udp, id) = cutting();
    let to = at(peer, 53);
    udp.send_to(id, to, None, b"one").unwrap();
    udp.send_train(id, Some(to), None, 3, b"twosix").unwrap();
    udp.send_to(id, to, None, b"ten").unwrap();
    assert_eq!(handed_out(&mut udp), [(3, None), (9, Some(3))]);
}

#[test]
fn without_devices_that_cut_them_datagrams_stay_what_they_are() {
    let [Cast { peer, .. }, _] = casts();
    let mut udp = udp();
    let id = bind(&mut udp, None, 7);
    for _ in 0..3 {
        udp.send_to(id, at(peer, 53), None, b"data").unwrap();
    }
    assert_eq!(handed_out(&mut udp), [(4, None); 3]);
}

#[test]
fn a_send_queue_is_as_long_as_before() {
    let [Cast { peer, .. }, _] = casts();
    let config = UdpConfig { send_queue_bytes: 1000, ..UdpConfig::default() };
    let mut udp = Udp::new(config, Rng::from_number(1));
    udp.set_makes_trains(true);
    let id = bind(&mut udp, None, 7);
    let sent = (0..100).take_while(|_| udp.send_to(id, at(peer, 53), None, &[0; 100]).is_ok()).count();
    // The train costs what one datagram costs beside its data, and the next must have room as if it were none.
    assert_eq!(sent, 7);
    assert_eq!(udp.send_to(id, at(peer, 53), None, &[0; 100]), Err(UdpSendError::WouldBlock));
    assert_eq!(handed_out(&mut udp), [(700, Some(100))]);
    assert_eq!(udp.poll_event(), Some(UdpEvent::Writable(id)));
}
