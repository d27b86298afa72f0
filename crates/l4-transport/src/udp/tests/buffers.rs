//! Buffers that datagrams are left in.

use std::collections::VecDeque;

use netloom_base::PIECE_LEN;

use super::*;

/// Bytes before the datagram in its buffer.
const BEFORE: usize = 44;

/// Puts `data` into a buffer of `size` bytes and hands it in, as the stack does. Says where the data lies, if the buffer was kept.
fn hand_in(
    udp: &mut Udp,
    to: SocketAddr,
    data: &[u8],
    segment_size: usize,
    size: usize,
) -> Result<Option<usize>, DropReason> {
    let from = at(casts()[usize::from(to.is_ipv6())].peer, 9);
    let payload = bytes(from, to, data);
    let mut buffer = vec![0; size].into_boxed_slice();
    let range = BEFORE..BEFORE + payload.len();
    buffer[range.clone()].copy_from_slice(&payload);
    let is_train = segment_size < data.len();
    let size_of_each = NonZeroU16::new(segment_size.try_into().unwrap_or(0)).filter(|_| is_train);
    let gso = size_of_each.map(|segment_size| Gso { kind: GsoKind::Udp, segment_size, ecn: false });
    let meta = RxMeta { checksum: RxChecksum::Trusted, gso };
    udp.offer_buffer(Some(size));
    let result = udp.input(NOW, &Datagram { meta, ..datagram(from, to, &buffer[range]) });
    udp.offer_buffer(None);
    let address = udp.taken_text().map(|text| {
        let offset = text.address - buffer.as_ptr().addr();
        udp.adopt(text, buffer, offset);
        text.address
    });
    result.map(|()| address)
}

/// The next datagram, and where it lies.
fn next(udp: &mut Udp, id: UdpSocketId) -> (Vec<u8>, usize) {
    udp.recv_with(id, |_, data| (data.to_vec(), data.as_ptr().addr())).unwrap()
}

fn us() -> SocketAddr {
    at(casts()[0].ours, 7)
}

#[test]
fn a_datagram_is_read_from_the_buffer_that_it_came_in() {
    let mut udp = udp();
    let id = bind(&mut udp, None, 7);
    for (data, size) in [(vec![1; 5], PIECE_LEN), (vec![2; 1400], 2048), (vec![3; 60_000], PIECE_LEN)]
        .into_iter()
        .cycle()
        .take(6)
    {
        let to = if udp.counters().received.get() < 3 { us() } else { at(casts()[1].ours, 7) };
        let address = hand_in(&mut udp, to, &data, data.len(), size).unwrap().unwrap();
        assert_eq!(udp.receive_bytes(), data.len() + 128);
        assert_eq!(next(&mut udp, id), (data, address));
    }
    // There is nothing to leave anywhere.
    assert_eq!(hand_in(&mut udp, us(), &[], 1, 2048), Ok(None));
    assert_eq!(next(&mut udp, id).0, []);
    udp.close(id);
    assert!(udp.is_clean());
}

#[test]
fn a_train_is_read_from_one_buffer_and_counts_until_it_is_read_whole() {
    let mut udp = udp();
    let id = bind(&mut udp, None, 7);
    let data: Vec<u8> = (0..=255).cycle().take(3000).collect();
    let address = hand_in(&mut udp, us(), &data, 1400, PIECE_LEN).unwrap().unwrap();
    let cost = 3000 + 3 * 128;
    for (number, part) in data.chunks(1400).enumerate() {
        let info = udp.info(id).unwrap();
        assert_eq!((info.receive_queue_count, info.receive_queue_bytes), (3 - number, cost));
        assert_eq!(udp.receive_bytes(), cost);
        assert_eq!(next(&mut udp, id), (part.to_vec(), address + number * 1400));
    }
    assert_eq!((udp.receive_bytes(), udp.is_readable(id)), (0, false));
}

#[test]
fn of_a_train_that_does_not_fit_whole_its_first_datagrams_come() {
    for (bytes, count) in [(5 * 1128 - 1, usize::MAX), (usize::MAX, 4)] {
        let config = UdpConfig { receive_queue_bytes: bytes, queue_datagrams: count, ..UdpConfig::default() };
        let mut udp = Udp::new(config, Rng::from_number(1));
        let id = bind(&mut udp, None, 7);
        assert!(hand_in(&mut udp, us(), &[7; 9500], 1000, PIECE_LEN).is_ok());
        let info = udp.info(id).unwrap();
        assert_eq!((info.receive_queue_count, info.dropped, udp.counters().queue_full.get()), (4, 6, 6));
        assert_eq!(udp.counters().received.get(), 4);
        assert_eq!(hand_in(&mut udp, us(), &[7; 2000], 1000, PIECE_LEN), Err(DropReason::UdpQueueFull));
        assert_eq!(udp.info(id).unwrap().dropped, 8);
    }
}

#[test]
fn the_oldest_of_65_loans_is_called_back_and_what_is_left_of_it_copied() {
    let mut udp = udp();
    let id = bind(&mut udp, None, 7);
    let train: Vec<u8> = (0..30).collect();
    let first = hand_in(&mut udp, us(), &train, 10, PIECE_LEN).unwrap().unwrap();
    assert_eq!(next(&mut udp, id), (train[..10].to_vec(), first));
    let later: Vec<usize> = (0..64)
        .map(|number| hand_in(&mut udp, us(), &[number; 100], 100, PIECE_LEN).unwrap().unwrap())
        .collect();
    for part in train[10..].chunks(10) {
        let (data, address) = next(&mut udp, id);
        assert_eq!(data, part);
        assert!(!(first..first + 30).contains(&address), "its buffer is another's by now");
    }
    for (number, address) in (0..).zip(later) {
        assert_eq!(next(&mut udp, id), (vec![number; 100], address));
    }
    // Buffers come back, and are not called back a second time.
    for round in 0..200 {
        let address = hand_in(&mut udp, us(), &[round; 100], 100, PIECE_LEN).unwrap().unwrap();
        assert_eq!(next(&mut udp, id), (vec![round; 100], address));
    }
}

#[test]
fn who_has_gone_has_no_loans_and_another_s_may_be_called_back_for_ours() {
    let mut udp = udp();
    let first = bind(&mut udp, None, 7);
    let train: Vec<u8> = (0..30).collect();
    for _ in 0..10 {
        hand_in(&mut udp, us(), &train, 10, PIECE_LEN).unwrap();
    }
    assert!(udp.recv_from(first, &mut [0; 10]).is_ok());
    udp.close(first);
    assert!(udp.is_clean());
    // It has the place of the first in memory.
    let (second, other) = (bind(&mut udp, None, 7), bind(&mut udp, None, 8));
    let mine = hand_in(&mut udp, us(), b"mine", 4, PIECE_LEN).unwrap().unwrap();
    for number in 0..63 {
        hand_in(&mut udp, at(us().ip(), 8), &[number], 1, PIECE_LEN).unwrap();
    }
    let look = |udp: &mut Udp| udp.peek_with(second, |_, data| (data.to_vec(), data.as_ptr().addr()));
    assert_eq!(look(&mut udp), Ok((b"mine".to_vec(), mine)));
    hand_in(&mut udp, at(us().ip(), 8), &[63], 1, PIECE_LEN).unwrap();
    let (data, address) = look(&mut udp).unwrap();
    assert_eq!((&data[..], address == mine), (&b"mine"[..], false));
    for number in 0..64 {
        assert_eq!(next(&mut udp, other).0, [number]);
    }
    assert_eq!(next(&mut udp, second).0, b"mine");
}

#[test]
fn what_was_read_leaves_its_buffer_for_the_next_packet() {
    let mut udp = udp();
    let id = bind(&mut udp, None, 7);
    for size in [PIECE_LEN, 2048] {
        assert!(udp.spare_buffer(size).is_none());
        hand_in(&mut udp, us(), b"x", 1, size).unwrap();
        assert!(udp.spare_buffer(size).is_none(), "it is not read yet");
        next(&mut udp, id);
        assert_eq!(udp.spare_buffer(size).map(|buffer| buffer.len()), Some(size));
        assert!(udp.spare_buffer(size).is_none());
    }
}

#[test]
fn a_buffer_that_holds_no_more_than_what_its_data_costs_is_nobody_s_loan() {
    let mut udp = udp();
    let id = bind(&mut udp, None, 7);
    let addresses: Vec<usize> = (0..100)
        .map(|_| hand_in(&mut udp, us(), &[1; 100], 100, 100 + 8 + BEFORE).unwrap().unwrap())
        .collect();
    for address in addresses {
        assert_eq!(next(&mut udp, id).1, address);
    }
}

#[test]
fn of_several_members_of_a_group_one_has_the_buffer_and_the_others_copies() {
    let mut udp = udp();
    let group = casts()[0].group;
    let ids: Vec<UdpSocketId> = (0..3)
        .map(|_| {
            let id = udp.bind(UdpBind { address: None, port: 7, share: true }).unwrap();
            udp.join_group(id, group, None).unwrap();
            id
        })
        .collect();
    let address = hand_in(&mut udp, at(group, 7), b"news", 4, PIECE_LEN).unwrap().unwrap();
    let received: Vec<_> = ids.iter().map(|&id| next(&mut udp, id)).collect();
    assert!(received.iter().all(|(data, _)| data == b"news"));
    assert_eq!(received.iter().filter(|(_, at)| *at == address).count(), 1);
}

proptest! {
    /// Whatever comes in whichever memory, and whenever it is read: it is what came, in order, within the bounds.
    #[test]
    fn what_is_read_is_what_came(
        steps in prop::collection::vec((0usize..4, 1usize..3000, 1usize..1500, any::<bool>()), 0..300),
    ) {
        let config = UdpConfig { receive_queue_bytes: 60_000, queue_datagrams: 60, max_receive_bytes: 90_000, ..UdpConfig::default() };
        let mut udp = Udp::new(config, Rng::from_number(1));
        let ids = [7, 8].map(|port| bind(&mut udp, None, port));
        let mut expected = [VecDeque::new(), VecDeque::new()];
        for (number, (step, len, segment_size, is_lent)) in steps.into_iter().enumerate() {
            let which = step % 2;
            if step < 2 && let Some(data) = expected[which].pop_front() {
                prop_assert_eq!(next(&mut udp, ids[which]).0, data);
                continue;
            }
            let data: Vec<u8> = (0..=255).cycle().skip(number % 256).take(len).collect();
            let to = SocketAddr::new(us().ip(), [7, 8][which]);
            let before = udp.info(ids[which]).unwrap();
            let came = if is_lent {
                hand_in(&mut udp, to, &data, segment_size, 4096).is_ok()
            } else {
                arrive(&mut udp, at(casts()[0].peer, 9), to, &data).is_ok()
            };
            let parts = data.chunks(if is_lent { segment_size } else { len });
            let after = udp.info(ids[which]).unwrap();
            let count = after.receive_queue_count - before.receive_queue_count;
            prop_assert_eq!(came, count > 0);
            prop_assert_eq!(after.dropped - before.dropped, (parts.len() - count) as u64);
            prop_assert!(after.receive_queue_count <= 60 && after.receive_queue_bytes <= 60_000);
            expected[which].extend(parts.take(count).map(<[u8]>::to_vec));
        }
        for (id, left) in ids.into_iter().zip(expected) {
            for data in left {
                prop_assert_eq!(next(&mut udp, id).0, data);
            }
            prop_assert!(!udp.is_readable(id));
            udp.close(id);
        }
        prop_assert!(udp.is_clean());
    }
}
