//! The link groups that an interface listens to.

use core::net::IpAddr;

use netloom_base::{KeyedMap, Rng};
use netloom_wire::EthernetAddress;

/// Reference-counted link groups: several IP groups share one (RFC 1112 6.4, RFC 2464 7).
///
/// Past [`Groups::MAX`] a group is only counted, and until it is left every group's frames pass, as with a network
/// card whose filter is full. The internet layer checks the IP group anyway.
#[derive(Debug)]
pub(crate) struct Groups {
    members: KeyedMap<EthernetAddress, u32>,
    untracked: u32,
}

impl Groups {
    /// Link groups that are told apart. About 24 bytes each.
    pub(crate) const MAX: usize = 1024;

    pub(crate) fn new(rng: &mut Rng) -> Self {
        Self { members: KeyedMap::with_hasher(rng.hash_key()), untracked: 0 }
    }

    pub(crate) fn join(&mut self, group: IpAddr) {
        let link = EthernetAddress::of_group(group);
        if self.members.contains_key(&link) || self.members.len() < Self::MAX {
            let count = self.members.entry(link).or_default();
            *count = count.saturating_add(1);
        } else {
            self.untracked = self.untracked.saturating_add(1);
        }
    }

    pub(crate) fn leave(&mut self, group: IpAddr) {
        let link = EthernetAddress::of_group(group);
        match self.members.get_mut(&link) {
            Some(count) if *count > 1 => *count -= 1,
            Some(_) => {
                self.members.remove(&link);
            }
            None => self.untracked = self.untracked.saturating_sub(1),
        }
    }

    /// Whether frames to `link`, a group address, are for us.
    pub(crate) fn contains(&self, link: EthernetAddress) -> bool {
        self.untracked > 0 || self.members.contains_key(&link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn link(text: &str) -> EthernetAddress {
        EthernetAddress::of_group(group(text))
    }

    #[test]
    fn a_link_group_lasts_as_long_as_one_of_its_ip_groups() {
        let mut groups = Groups::new(&mut Rng::from_number(1));
        groups.join(group("224.1.2.3"));
        groups.join(group("225.1.2.3"));
        groups.leave(group("224.1.2.3"));
        assert!(groups.contains(link("224.1.2.3")));
        groups.leave(group("225.1.2.3"));
        assert!(!groups.contains(link("224.1.2.3")));
        groups.leave(group("225.1.2.3"));
        assert!(!groups.contains(link("224.1.2.3")));
    }

    #[test]
    fn beyond_the_bound_every_group_passes() {
        let mut groups = Groups::new(&mut Rng::from_number(1));
        for number in 0..u32::try_from(Groups::MAX).unwrap() {
            groups.join(core::net::Ipv4Addr::from_bits(0xe000_0000 | number).into());
        }
        assert!(!groups.contains(link("ff02::1:ff00:1")));
        groups.join(group("ff02::1:ff00:1"));
        assert!(groups.contains(link("ff02::1:ff00:1")));
        assert_eq!(groups.members.len(), Groups::MAX);
        groups.leave(group("ff02::1:ff00:1"));
        assert!(!groups.contains(link("ff02::1:ff00:1")));
        assert!(groups.contains(link("224.0.0.5")));
    }
}
