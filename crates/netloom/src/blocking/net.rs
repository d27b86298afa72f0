//! A stack for programs without tokio.

use std::io;
use std::net::ToSocketAddrs;
use std::sync::mpsc::sync_channel;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::setup::first_of;
use super::{TcpListener, TcpStream, UdpSocket, wait};
use crate::{IntoInterface, NetBuilder};

/// A stack with blocking sockets. Clones are handles to the same stack.
///
/// One that was [started](Self::start) here is aborted when the last clone is dropped; sockets fail from then on.
///
/// # Examples
/// ```
#[doc = include_str!("../doc/blocking_hosts.md")]
/// // Each stack runs on a thread of its own; `blocking::Net::from` takes one that a runtime drives.
/// let receiver = server.udp_bind("10.0.0.1:7")?;
/// let sender = client.udp_bind("10.0.0.2:0")?;
/// sender.send_to(b"hello", "10.0.0.1:7")?;
/// let mut buffer = [0; 16];
/// assert_eq!(receiver.recv_from(&mut buffer)?, (5, sender.local_addr()?));
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Net {
    net: crate::Net,
    /// The thread that drives it, if that is ours.
    _thread: Option<Arc<Driver>>,
}

/// A thread that drives a stack, until it has ended.
#[derive(Debug)]
struct Driver {
    net: crate::Net,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.net.abort();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread {
            // It only drives the stack: if it has panicked that was reported already.
            let _ = thread.join();
        }
    }
}

impl From<crate::Net> for Net {
    /// Blocking sockets on a stack that some runtime drives already.
    fn from(net: crate::Net) -> Self {
        Self { net, _thread: None }
    }
}

impl Net {
    /// Starts a stack on a thread of its own.
    ///
    /// # Errors
    /// As [`NetBuilder::start`], and what the operating system refused: a thread, a descriptor.
    ///
    /// # Examples
    /// ```no_run
    /// # fn start() -> std::io::Result<()> {
    /// use netloom::{Net, blocking};
    ///
    /// let net = blocking::Net::start(Net::builder().tap("nl0", "10.0.0.2/24")?)?;
    /// let listener = net.tcp_listen("10.0.0.2:80")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn start(builder: NetBuilder) -> io::Result<Self> {
        let (tell, started) = sync_channel(1);
        let thread = std::thread::Builder::new().name("netloom".to_owned()).spawn(move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => {
                    let _ = tell.send(Err(error));
                    return;
                }
            };
            runtime.block_on(async {
                let result = builder.start();
                let net = result.as_ref().ok().cloned();
                // Whoever asked waits for this.
                let _ = tell.send(result);
                if let Some(net) = net {
                    // Why it ended, its sockets are told.
                    let _ = net.ended().await;
                }
            });
        })?;
        let net = started.recv().map_err(|_| io::Error::other("the stack's thread has ended"))??;
        let thread = Arc::new(Driver { net: net.clone(), thread: Mutex::new(Some(thread)) });
        Ok(Self { net, _thread: Some(thread) })
    }

    /// Starts two stacks that a cable in memory joins, as [`netloom::Net::pair`](crate::Net::pair), each on a thread of its own.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    ///
    /// # Examples
    /// ```
    /// # fn main() -> std::io::Result<()> {
    /// use netloom::blocking::Net;
    ///
    /// let (server, client) = Net::pair("10.0.0.1/24", "10.0.0.2/24")?;
    /// let listener = server.tcp_listen("10.0.0.1:80")?;
    /// let outgoing = client.tcp_connect("10.0.0.1:80")?;
    /// assert_eq!(listener.accept()?.1, outgoing.local_addr()?);
    /// # Ok(())
    /// # }
    /// ```
    pub fn pair(left: impl IntoInterface, right: impl IntoInterface) -> io::Result<(Self, Self)> {
        let [left, right] = NetBuilder::pair(left, right)?;
        Ok((Self::start(left)?, Self::start(right)?))
    }

    /// The stack, for all that needs no waiting, and for [`wait()`](super::wait()).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// assert_eq!(client.net().addresses(), ["10.0.0.2/24".parse().expect("a CIDR")]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn net(&self) -> &crate::Net {
        &self.net
    }

    /// Listens at the first of the addresses that can be had.
    ///
    /// # Errors
    /// The last address's, as [`netloom::Net::tcp_listen`](crate::Net::tcp_listen).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// let listener = server.tcp_listen("10.0.0.1:0")?;
    /// // The port that was found for it.
    /// assert_ne!(listener.local_addr()?.port(), 0);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tcp_listen(&self, addr: impl ToSocketAddrs) -> io::Result<TcpListener> {
        first_of(addr, |address| wait(self.net.tcp_listen(address)).map(TcpListener::from))
    }

    /// Connects to the first of the addresses that answers.
    ///
    /// # Errors
    /// The last address's, as [`netloom::Net::tcp_connect`](crate::Net::tcp_connect).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// let error = client.tcp_connect("10.0.0.1:81").unwrap_err();
    /// assert_eq!(error.kind(), std::io::ErrorKind::ConnectionRefused);
    /// # Ok(())
    /// # }
    /// ```
    pub fn tcp_connect(&self, addr: impl ToSocketAddrs) -> io::Result<TcpStream> {
        first_of(addr, |address| wait(self.net.tcp_connect(address)).map(TcpStream::from))
    }

    /// Opens a UDP socket at the first of the addresses that can be had.
    ///
    /// # Errors
    /// The last address's, as [`netloom::Net::udp_bind`](crate::Net::udp_bind).
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// let socket = server.udp_bind("10.0.0.1:53")?;
    /// assert_eq!(socket.local_addr()?.port(), 53);
    /// # Ok(())
    /// # }
    /// ```
    pub fn udp_bind(&self, addr: impl ToSocketAddrs) -> io::Result<UdpSocket> {
        first_of(addr, |address| wait(self.net.udp_bind(address)).map(UdpSocket::from))
    }

    /// Makes this stack the process's: [`TcpStream::connect`] and the like use it.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_hosts.md")]
    /// use netloom::blocking::TcpListener;
    ///
    /// server.set_default();
    /// let listener = TcpListener::bind("10.0.0.1:80")?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn set_default(&self) {
        self.net.set_default();
    }

    /// Waits until all connections have ended, but no longer than `patience`; then ends the stack, resetting what is left.
    /// Drop listeners and streams first.
    ///
    /// # Errors
    /// The operating system's, if it has no descriptor for a timer.
    ///
    /// # Examples
    /// ```
    #[doc = include_str!("../doc/blocking_connected.md")]
    /// use std::time::Duration;
    ///
    /// outgoing.write_all(b"the last words")?;
    /// drop((outgoing, listener));
    /// incoming.read_exact(&mut [0; 14])?;
    /// drop(incoming);
    /// client.shutdown(Duration::from_secs(1))?;
    /// server.shutdown(Duration::from_secs(1))?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn shutdown(self, patience: Duration) -> io::Result<()> {
        // Only for its timer: the stack has a runtime of its own.
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
        runtime.block_on(self.net.clone().shutdown(patience));
        Ok(())
    }
}
