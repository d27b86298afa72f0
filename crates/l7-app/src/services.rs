//! The names of the services, their ports, and one call that runs any of them.

use std::error::Error;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;

use axum::serve::Listener;
use tokio_util::sync::CancellationToken;

use crate::accept::ConnectionLimits;
use crate::connection::Connection;
use crate::datagrams::Datagrams;
use crate::http::{HttpLimits, HttpOptions};
use crate::iperf3::Iperf3Options;
use crate::{chargen, daytime, discard, echo, http, iperf3};

/// A service that can be chosen by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Service {
    /// HTTP/1.1, see [`http`].
    Http,
    /// RFC 862, see [`echo`].
    Echo,
    /// RFC 863, see [`discard`].
    Discard,
    /// RFC 864, see [`chargen`].
    Chargen,
    /// RFC 867, see [`daytime`].
    Daytime,
    /// An iperf3 server, see [`iperf3`].
    Iperf3,
}

/// What the services may be told, beside their sockets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceOptions {
    /// For [`Service::Http`].
    pub http: HttpOptions,
    /// For [`Service::Http`].
    pub http_limits: HttpLimits,
    /// For [`Service::Iperf3`].
    pub iperf3: Iperf3Options,
    /// For all others.
    pub limits: ConnectionLimits,
}

impl Service {
    /// Every service.
    pub const ALL: [Self; 6] =
        [Self::Http, Self::Echo, Self::Discard, Self::Chargen, Self::Daytime, Self::Iperf3];

    /// The name that is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Echo => "echo",
            Self::Discard => "discard",
            Self::Chargen => "chargen",
            Self::Daytime => "daytime",
            Self::Iperf3 => "iperf3",
        }
    }

    /// The port that its clients expect.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Echo => 7,
            Self::Discard => 9,
            Self::Chargen => 19,
            Self::Daytime => 13,
            Self::Iperf3 => 5201,
        }
    }

    /// Whether it needs a UDP socket beside its listener.
    pub fn uses_udp(self) -> bool {
        match self {
            Self::Http => false,
            Self::Echo | Self::Discard | Self::Chargen | Self::Daytime | Self::Iperf3 => true,
        }
    }

    /// Whether connections may be served apart, by a [`run`](Self::run) for each part of them that knows nothing of the others; one
    /// without a UDP socket serves none. A test of iperf3 is several connections that must meet.
    pub fn is_divisible(self) -> bool {
        match self {
            Self::Http | Self::Echo | Self::Discard | Self::Chargen | Self::Daytime => true,
            Self::Iperf3 => false,
        }
    }

    /// Runs the service on sockets that are bound to the same address, until `shutdown`.
    ///
    /// The service drops its sockets when it ends.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] when iperf3 gets no UDP socket; the UDP socket's own error, when it can no longer be
    /// used.
    pub async fn run<L, D>(
        self,
        listener: L,
        udp: Option<D>,
        options: &ServiceOptions,
        shutdown: CancellationToken,
    ) -> io::Result<()>
    where
        L: Listener<Addr = SocketAddr, Io: Connection>,
        D: Datagrams,
    {
        let needs_udp = || io::Error::new(io::ErrorKind::InvalidInput, format!("{self} needs a UDP socket"));
        let (limits, stop) = (options.limits, shutdown.clone());
        let served = match self {
            Self::Http => {
                let router = http::router(options.http.clone());
                http::serve_with(listener, router, options.http_limits, shutdown).await;
                return Ok(());
            }
            Self::Iperf3 => {
                return iperf3::serve(listener, udp.ok_or_else(needs_udp)?, options.iperf3, shutdown).await;
            }
            Self::Echo => tokio::join!(
                if_any(udp, |udp| echo::serve_udp(udp, stop)),
                echo::serve_tcp(listener, limits, shutdown)
            ),
            Self::Discard => tokio::join!(
                if_any(udp, |udp| discard::serve_udp(udp, stop)),
                discard::serve_tcp(listener, limits, shutdown)
            ),
            Self::Chargen => tokio::join!(
                if_any(udp, |udp| chargen::serve_udp(udp, stop)),
                chargen::serve_tcp(listener, limits, shutdown)
            ),
            Self::Daytime => tokio::join!(
                if_any(udp, |udp| daytime::serve_udp(udp, stop)),
                daytime::serve_tcp(listener, limits, shutdown)
            ),
        };
        served.0
    }
}

/// Serves a socket if there is one: a part of a divided service has none.
async fn if_any<D, F>(socket: Option<D>, serve: impl FnOnce(D) -> F) -> io::Result<()>
where
    F: Future<Output = io::Result<()>>,
{
    match socket {
        Some(socket) => serve(socket).await,
        None => Ok(()),
    }
}

impl fmt::Display for Service {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// A service and its port, written `NAME` or `NAME=PORT`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ServiceSpec {
    /// Which.
    pub service: Service,
    /// Where, on TCP and, if the service uses it, on UDP.
    pub port: u16,
}

impl From<Service> for ServiceSpec {
    fn from(service: Service) -> Self {
        Self { service, port: service.default_port() }
    }
}

impl fmt::Display for ServiceSpec {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}={}", self.service, self.port)
    }
}

impl FromStr for ServiceSpec {
    type Err = ServiceSpecError;

    fn from_str(text: &str) -> Result<Self, ServiceSpecError> {
        let (name, port) = text.split_once('=').map_or((text, None), |(name, port)| (name, Some(port)));
        let service = Service::ALL
            .into_iter()
            .find(|service| service.name() == name)
            .ok_or_else(|| ServiceSpecError::UnknownName(name.to_owned()))?;
        let Some(port) = port else { return Ok(service.into()) };
        match port.parse() {
            Ok(0) | Err(_) => Err(ServiceSpecError::Port(service, port.to_owned())),
            Ok(port) => Ok(Self { service, port }),
        }
    }
}

/// Why a choice of services cannot be; each displays as one line that says what to type.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServiceSpecError {
    /// No service of this name.
    UnknownName(String),
    /// Not a port.
    Port(Service, String),
    /// Two services on one port.
    SharedPort(ServiceSpec, ServiceSpec),
}

impl fmt::Display for ServiceSpecError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownName(name) => {
                let known = Service::ALL.map(|service| ServiceSpec::from(service).to_string()).join(" ");
                write!(formatter, "no service is called '{name}'; the services and their ports are {known}")
            }
            Self::Port(service, port) => {
                write!(formatter, "'{port}' is no port; type {service}=PORT with a number from 1 to 65535")
            }
            Self::SharedPort(first, second) => {
                let (first_name, second_name, port) = (first.service, second.service, first.port);
                write!(
                    formatter,
                    "{first_name} and {second_name} cannot share port {port}; type {second_name}=PORT with another"
                )
            }
        }
    }
}

impl Error for ServiceSpecError {}

/// A choice of services, no two on one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Services(Vec<ServiceSpec>);

impl Default for Services {
    /// All of them, on their own ports.
    fn default() -> Self {
        Self(Service::ALL.map(ServiceSpec::from).to_vec())
    }
}

impl Services {
    /// No service at all.
    pub fn none() -> Self {
        Self(Vec::new())
    }

    /// These services and no others; what stands in the list twice runs once, and one service may run on several ports.
    ///
    /// # Errors
    /// [`ServiceSpecError::SharedPort`].
    pub fn new(specs: impl IntoIterator<Item = ServiceSpec>) -> Result<Self, ServiceSpecError> {
        let mut chosen: Vec<ServiceSpec> = Vec::new();
        for spec in specs {
            match chosen.iter().find(|other| other.port == spec.port) {
                None => chosen.push(spec),
                Some(other) if *other == spec => {}
                Some(other) => return Err(ServiceSpecError::SharedPort(*other, spec)),
            }
        }
        Ok(Self(chosen))
    }

    /// The services in the order in which they were chosen.
    pub fn iter(&self) -> impl Iterator<Item = ServiceSpec> + '_ {
        self.0.iter().copied()
    }

    /// The port of `service`, the first where it has several; for the lines that tell a user what to type.
    pub fn port_of(&self, service: Service) -> Option<u16> {
        self.iter().find(|spec| spec.service == service).map(|spec| spec.port)
    }
}

#[cfg(test)]
mod tests {
    use super::{Service, ServiceSpec, Services};

    fn parse(text: &str) -> Result<String, String> {
        text.parse().map(|spec: ServiceSpec| spec.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn names_have_ports_of_their_own_or_given_ones() {
        for (text, spec) in [
            ("http", "http=80"),
            ("echo", "echo=7"),
            ("discard", "discard=9"),
            ("chargen", "chargen=19"),
            ("daytime", "daytime=13"),
            ("iperf3", "iperf3=5201"),
            ("http=8080", "http=8080"),
            ("http=1", "http=1"),
            ("http=65535", "http=65535"),
        ] {
            assert_eq!(parse(text), Ok(spec.to_owned()));
        }
    }

    #[test]
    fn mistakes_are_explained_in_one_line() {
        for (text, expected) in [
            ("gopher", "no service is called 'gopher'; the services and their ports are http=80 echo=7"),
            ("HTTP", "no service is called 'HTTP'"),
            ("", "no service is called ''"),
            ("http=", "'' is no port; type http=PORT with a number from 1 to 65535"),
            ("http=0", "'0' is no port"),
            ("http=65536", "'65536' is no port"),
            ("http=80=80", "'80=80' is no port"),
            ("echo=-7", "'-7' is no port"),
        ] {
            let line = parse(text).unwrap_err();
            assert!(line.starts_with(expected) && !line.contains('\n'), "{text}: {line}");
        }
    }

    #[test]
    fn two_services_do_not_share_a_port() {
        let choose = |list: &[&str]| Services::new(list.iter().map(|text| text.parse().unwrap()));
        let chosen = choose(&["http", "http=8080", "http"]).unwrap();
        assert_eq!(chosen.iter().map(|spec| spec.port).collect::<Vec<_>>(), [80, 8080]);
        assert_eq!(chosen.port_of(Service::Http), Some(80));
        assert_eq!(chosen.port_of(Service::Echo), None);
        let error = choose(&["http", "echo=80"]).unwrap_err().to_string();
        assert_eq!(error, "http and echo cannot share port 80; type echo=PORT with another");
        assert_eq!(Services::default().iter().count(), Service::ALL.len());
        assert_eq!(Services::none().iter().count(), 0);
    }
}
