//! What the stack is on an interface, and what that can be said by.

use std::io;
use std::net::IpAddr;

use netloom_stack::{AddressDetection, Cidr, EthernetAddress};

use crate::error;

/// What an interface of a [`Net`](crate::Net) is to be.
///
/// # Examples
/// ```
/// use netloom::{AddressDetection, InterfaceConfig};
///
/// let config = InterfaceConfig {
///     addresses: vec!["10.0.0.2/24".parse()?, "fd00::2/64".parse()?],
///     gateways: vec![("0.0.0.0/0".parse()?, "10.0.0.1".parse()?)],
///     detection: AddressDetection::Optimistic,
///     ..InterfaceConfig::default()
/// };
/// assert!(!config.accept_any);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct InterfaceConfig {
    /// Its addresses, each with the prefix of its network.
    pub addresses: Vec<Cidr>,
    /// The routers to send through: `(prefix, gateway)`; the prefix `0.0.0.0/0` or `::/0` is the default route.
    pub gateways: Vec<(Cidr, IpAddr)>,
    /// Its Ethernet address; `None` makes up a locally administered one. Ignored without Ethernet.
    pub link_address: Option<EthernetAddress>,
    /// How an address is checked for duplicates before and while it is used.
    pub detection: AddressDetection,
    /// Whether packets for any address are taken, not only for `addresses`: for a VPN client, a proxy, a sandbox. Sockets
    /// then see which address was asked ([`Net::tcp_listen_any`](crate::Net::tcp_listen_any), or any listener on an
    /// unspecified address), answer from it, and may be bound to any address. Pings to any address are answered. Without a
    /// route, what answers goes out by the interface itself if it is a TUN; on a TAP, clients name one of `addresses` as
    /// their gateway. Off by default.
    pub accept_any: bool,
}

impl InterfaceConfig {
    /// One address, which is used at once, and given up if another host turns out to have it
    /// ([`AddressDetection::Optimistic`]); everything else by default.
    ///
    /// # Examples
    /// ```
    /// let config = netloom::InterfaceConfig::optimistic("10.0.0.2/24".parse()?);
    /// assert_eq!(config.addresses, ["10.0.0.2/24".parse()?]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn optimistic(address: Cidr) -> Self {
        Self { addresses: vec![address], detection: AddressDetection::Optimistic, ..Self::default() }
    }
}

/// What an interface can be said by: an [`InterfaceConfig`], or the addresses that it is to have, as text or not.
///
/// Addresses alone are used at once, and everything else is as by default: see [`InterfaceConfig::optimistic`].
///
/// # Examples
/// ```
/// use netloom::{InterfaceConfig, IntoInterface};
///
/// let config = ["10.0.0.2/24", "fd00::2/64"].into_interface()?;
/// assert_eq!(config.addresses.len(), 2);
/// // With something more to say:
/// let config = InterfaceConfig { accept_any: true, .."10.0.0.2/24".into_interface()? };
/// assert!(config.accept_any);
/// // The prefix's length is missing.
/// assert!("10.0.0.2".into_interface().is_err());
/// # Ok::<(), std::io::Error>(())
/// ```
pub trait IntoInterface {
    /// The interface that is meant.
    ///
    /// # Errors
    /// `InvalidInput` for a text that is no address with the length of its network's prefix in bits, as `10.0.0.2/24`.
    fn into_interface(self) -> io::Result<InterfaceConfig>;
}

impl IntoInterface for InterfaceConfig {
    fn into_interface(self) -> io::Result<InterfaceConfig> {
        Ok(self)
    }
}

impl IntoInterface for Cidr {
    fn into_interface(self) -> io::Result<InterfaceConfig> {
        Ok(InterfaceConfig::optimistic(self))
    }
}

impl IntoInterface for &str {
    fn into_interface(self) -> io::Result<InterfaceConfig> {
        [self].into_interface()
    }
}

impl<const N: usize> IntoInterface for [&str; N] {
    fn into_interface(self) -> io::Result<InterfaceConfig> {
        let addresses = self.iter().map(|text| text.parse().map_err(|why| error::of_cidr(text, &why)));
        let addresses = addresses.collect::<io::Result<_>>()?;
        let detection = AddressDetection::Optimistic;
        Ok(InterfaceConfig { addresses, detection, ..InterfaceConfig::default() })
    }
}
