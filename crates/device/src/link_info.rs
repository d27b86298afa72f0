//! What the kernel says of an interface: one RTM_GETLINK request over rtnetlink.
//!
//! Not sysfs: a mounted `/sys` shows the network namespace of whoever mounted it, and netloom lives in namespaces;
//! a netlink socket belongs to the namespace of the thread that opens it.
//!
//! Message format: a 16-byte header (length, type, flags, sequence, port), a 16-byte `ifinfomsg`, then attributes of
//! a 4-byte header (length with header, type) each, padded to 4 bytes. All integers in the machine's byte order.

use std::io;
use std::os::fd::AsRawFd;

use netloom_base::Medium;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

const HEADER_LEN: usize = 16;
const LINK_LEN: usize = 16;
const ATTRIBUTE_HEADER_LEN: usize = 4;
/// More than any answer about one link that the kernel builds without statistics of virtual functions.
const ANSWER_LEN: usize = 32 * 1024;

// Attributes of a link of the kind "tun" (linux/if_link.h), since Linux 4.20; one byte each, the numbers of queues four.
const IFLA_TUN_TYPE: u16 = 3;
const IFLA_TUN_PERSIST: u16 = 6;
const IFLA_TUN_MULTI_QUEUE: u16 = 7;
const IFLA_TUN_NUM_QUEUES: u16 = 8;
const IFLA_TUN_NUM_DISABLED_QUEUES: u16 = 9;
const TYPE_TUN: u8 = 1;
const TYPE_TAP: u8 = 2;

/// What the kernel says of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LinkInfo {
    /// Largest IP packet in bytes; 0 if the kernel did not say.
    pub(crate) mtu: u32,
    /// Set if it is a TUN or TAP.
    pub(crate) tun: Option<TunInfo>,
}

/// What is special about a TUN or TAP; `None` where the kernel is too old to tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct TunInfo {
    /// TUN or TAP.
    pub(crate) medium: Option<Medium>,
    /// Whether it outlives its holder.
    pub(crate) persistent: Option<bool>,
    /// Whether it was made for several queues.
    pub(crate) multi_queue: Option<bool>,
    /// How many queues processes hold; told only of one that was made for several.
    pub(crate) held_queue_count: Option<u32>,
}

/// Asks for the interface of this name in the calling thread's network namespace; `None` if there is none.
pub(crate) fn query(name: &str) -> io::Result<Option<LinkInfo>> {
    let socket =
        socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute)?;
    send(socket.as_raw_fd(), &request(name)?, MsgFlags::empty())?;
    let mut answer = vec![0; ANSWER_LEN];
    let len = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    parse(answer.get(..len).ok_or(io::ErrorKind::InvalidData)?)
}

fn request(name: &str) -> io::Result<Vec<u8>> {
    let mut value = name.as_bytes().to_vec();
    value.push(0);
    let attribute_len = ATTRIBUTE_HEADER_LEN + value.len();
    let message_len = HEADER_LEN + LINK_LEN + attribute_len.next_multiple_of(4);
    let to_u16 = |len: usize| u16::try_from(len).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let flags = to_u16(libc::NLM_F_REQUEST.unsigned_abs() as usize)?;

    let mut message = Vec::with_capacity(message_len);
    message.extend(u32::from(to_u16(message_len)?).to_ne_bytes());
    message.extend(libc::RTM_GETLINK.to_ne_bytes());
    message.extend(flags.to_ne_bytes());
    message.extend([0; 8 + LINK_LEN]); // sequence, port; any family, no index: the name decides
    message.extend(to_u16(attribute_len)?.to_ne_bytes());
    message.extend(libc::IFLA_IFNAME.to_ne_bytes());
    message.extend(value);
    message.resize(message_len, 0);
    Ok(message)
}

fn parse(answer: &[u8]) -> io::Result<Option<LinkInfo>> {
    let malformed =
        || io::Error::new(io::ErrorKind::InvalidData, "rtnetlink gave an answer that cannot be read");
    let (header, body) = answer.split_at_checked(HEADER_LEN).ok_or_else(malformed)?;
    let kind = header.get(4..6).and_then(read_u16).ok_or_else(malformed)?;
    if i32::from(kind) == libc::NLMSG_ERROR {
        let code = body.get(..4).and_then(read_i32).ok_or_else(malformed)?;
        let errno = code.checked_neg().ok_or_else(malformed)?;
        return if errno == libc::ENODEV { Ok(None) } else { Err(io::Error::from_raw_os_error(errno)) };
    }
    if kind != libc::RTM_NEWLINK {
        return Err(malformed());
    }
    let attributes_of_link = body.get(LINK_LEN..).ok_or_else(malformed)?;
    let mut link = LinkInfo { mtu: 0, tun: None };
    for (kind, value) in attributes(attributes_of_link) {
        if kind == libc::IFLA_MTU {
            link.mtu = read_u32(value).ok_or_else(malformed)?;
        } else if kind == libc::IFLA_LINKINFO {
            link.tun = tun_info(value);
        }
    }
    Ok(Some(link))
}

fn tun_info(link_info: &[u8]) -> Option<TunInfo> {
    let find = |wanted: u16| attributes(link_info).find(|&(kind, _)| kind == wanted).map(|(_, value)| value);
    if find(libc::IFLA_INFO_KIND)? != b"tun\0" {
        return None;
    }
    let mut tun = TunInfo::default();
    for (kind, value) in attributes(find(libc::IFLA_INFO_DATA).unwrap_or_default()) {
        if kind == IFLA_TUN_NUM_QUEUES || kind == IFLA_TUN_NUM_DISABLED_QUEUES {
            let held = tun.held_queue_count.unwrap_or(0);
            tun.held_queue_count = read_u32(value).map(|count| held.saturating_add(count));
        }
        let &[byte] = value else { continue };
        if kind == IFLA_TUN_TYPE {
            tun.medium = match byte {
                TYPE_TUN => Some(Medium::Ip),
                TYPE_TAP => Some(Medium::Ethernet),
                _ => None,
            };
        } else if kind == IFLA_TUN_PERSIST {
            tun.persistent = Some(byte != 0);
        } else if kind == IFLA_TUN_MULTI_QUEUE {
            tun.multi_queue = Some(byte != 0);
        }
    }
    Some(tun)
}

/// Type and value of each attribute, up to the first that does not fit.
fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let len = usize::from(bytes.get(..2).and_then(read_u16)?);
        // The two highest bits of a type are flags (nested, big-endian).
        let kind = bytes.get(2..4).and_then(read_u16)? & 0x3fff;
        let value = bytes.get(ATTRIBUTE_HEADER_LEN..len)?;
        bytes = bytes.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

fn read_u16(bytes: &[u8]) -> Option<u16> {
    bytes.try_into().ok().map(u16::from_ne_bytes)
}

fn read_u32(bytes: &[u8]) -> Option<u32> {
    bytes.try_into().ok().map(u32::from_ne_bytes)
}

fn read_i32(bytes: &[u8]) -> Option<i32> {
    bytes.try_into().ok().map(i32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let len = ATTRIBUTE_HEADER_LEN + value.len();
        let mut bytes = u16::try_from(len).unwrap().to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(len.next_multiple_of(4), 0);
        bytes
    }

    fn answer(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_LEN];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes.extend(body);
        bytes
    }

    fn link_answer(kind: &[u8]) -> Vec<u8> {
        let data = [
            attribute(IFLA_TUN_TYPE, &[2]),
            attribute(IFLA_TUN_PERSIST, &[1]),
            attribute(IFLA_TUN_MULTI_QUEUE, &[1]),
            attribute(IFLA_TUN_NUM_QUEUES, &2_u32.to_ne_bytes()),
            attribute(IFLA_TUN_NUM_DISABLED_QUEUES, &1_u32.to_ne_bytes()),
        ];
        let info =
            [attribute(libc::IFLA_INFO_KIND, kind), attribute(libc::IFLA_INFO_DATA | 0x8000, &data.concat())];
        let body = [
            vec![0; LINK_LEN],
            attribute(libc::IFLA_MTU, &1400_u32.to_ne_bytes()),
            attribute(libc::IFLA_LINKINFO, &info.concat()),
        ];
        answer(libc::RTM_NEWLINK, &body.concat())
    }

    #[test]
    fn a_tap_is_recognised() {
        let tun = TunInfo {
            medium: Some(Medium::Ethernet),
            persistent: Some(true),
            multi_queue: Some(true),
            held_queue_count: Some(3),
        };
        let expected = LinkInfo { mtu: 1400, tun: Some(tun) };
        assert_eq!(parse(&link_answer(b"tun\0")).unwrap(), Some(expected));
        assert_eq!(parse(&link_answer(b"veth\0")).unwrap(), Some(LinkInfo { mtu: 1400, tun: None }));
    }

    #[test]
    fn a_missing_link_is_no_error_and_others_are() {
        let error = u16::try_from(libc::NLMSG_ERROR).unwrap();
        assert_eq!(parse(&answer(error, &(-libc::ENODEV).to_ne_bytes())).unwrap(), None);
        let refused = parse(&answer(error, &(-libc::EPERM).to_ne_bytes())).unwrap_err();
        assert_eq!(refused.raw_os_error(), Some(libc::EPERM));
    }

    #[test]
    fn no_cut_of_an_answer_panics() {
        let whole = link_answer(b"tun\0");
        for len in 0..whole.len() {
            if let Ok(Some(link)) = parse(&whole[..len]) {
                assert!(link.mtu == 0 || link.mtu == 1400);
            }
        }
    }

    #[test]
    fn loopback_is_a_link_and_no_tun() {
        let loopback = query("lo").unwrap().unwrap();
        assert_eq!(loopback.tun, None);
        assert!(loopback.mtu > 0);
        assert_eq!(query("nosuchlink").unwrap(), None);
    }
}
