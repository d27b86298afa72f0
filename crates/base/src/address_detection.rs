//! How carefully a new address is tried out before it is used.

/// What is done to find out whether another host uses an address already (RFC 5227 2.1, RFC 4862 5.4).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AddressDetection {
    /// The address is neither used nor answered for until probes have stayed unanswered for some seconds.
    #[default]
    Probe,
    /// The address is used at once while probes run; a conflict that they find is reported (RFC 4429).
    Optimistic,
    /// No probes: the address is announced and used at once.
    Off,
}
