//! HTTP and the live page, on a port that is free.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::Context;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use crate::cli::exit::complain;
use crate::daemon::desk::Desk;
use crate::daemon::settings::Settings;
use crate::http;

/// Ports that are tried one after the other: a daemon that runs here has the first, other demos some of the rest.
const PORTS: std::ops::Range<u16> = 8000..8010;
/// Longest wait until it is served; it takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
/// Pause between two looks whether it is.
const LOOK_PAUSE: Duration = Duration::from_millis(5);

/// A port that is kept until the daemon wants it.
pub(super) struct Page {
    listener: TcpListener,
    address: SocketAddr,
}

impl Page {
    /// Serves for a daemon that is about to be started with these settings and this desk, until it ends.
    pub(super) fn serve(settings: &mut Settings) -> anyhow::Result<(Desk, Self)> {
        let page = Self::reserve()?;
        settings.http.enabled = true;
        settings.http.listen = page.address.to_string();
        let (desk, front) = Desk::open();
        http::start(front).context("no thread for HTTP can be started")?;
        Ok((desk, page))
    }

    /// The first of [`PORTS`] that is free on loopback, or any other one.
    fn reserve() -> anyhow::Result<Self> {
        let mut found = PORTS.chain([0]).map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
        let listener = found.find_map(Result::ok).context("no port on 127.0.0.1 is free; try --no-http")?;
        let address = listener.local_addr().context("finding a free port on 127.0.0.1")?;
        Ok(Self { listener, address })
    }

    /// Frees the port for the daemon, which listens at once.
    pub(super) fn make_way(self) -> SocketAddr {
        drop(self.listener);
        self.address
    }
}

/// Waits until somebody listens there; `None`, and says so, when nobody does. The demo is worth seeing without.
pub(super) async fn wait_for(address: SocketAddr) -> Option<SocketAddr> {
    let begin = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        if begin.elapsed() > PATIENCE {
            complain(&format!(
                "HTTP is not served: somebody else has taken {address} in this moment; try again"
            ));
            return None;
        }
        sleep(LOOK_PAUSE).await;
    }
    Some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_passed_over() {
        let first = Page::reserve().unwrap();
        let second = Page::reserve().unwrap();
        assert!(first.address.ip().is_loopback() && second.address.ip().is_loopback());
        assert_ne!(first.address.port(), second.address.port());
        let mut settings = Settings::default();
        let (_desk, third) = Page::serve(&mut settings).unwrap();
        assert_eq!((settings.http.enabled, settings.http.listen), (true, third.address.to_string()));
    }
}
