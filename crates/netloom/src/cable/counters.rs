//! What a cable counts.

use netloom_impair::LinkCounters;

/// Numbers of one direction of a cable.
///
/// # Examples
/// ```
/// use netloom::Cable;
/// use netloom::device::MemoryQueue;
/// use netloom::stack::Medium;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let (_host, end) = MemoryQueue::pair(Medium::Ip, 1500)?;
/// let (cable, _device) = Cable::before(Box::new(end), &"loss=1%".parse()?)?;
/// let [there, back] = cable.counters();
/// assert_eq!((there.refused, back.refused), (0, 0));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct CableCounters {
    /// What the model did.
    pub link: LinkCounters,
    /// Frames that came through and that the device at the far end did not take: it was down, or out of memory.
    pub refused: u64,
}
