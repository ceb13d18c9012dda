//! Listening, and the connections: how many there may be, and how long they may take.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, sleep};
use tracing::{debug, info};

use super::app::App;
use super::counts::{Route, add};
use super::patient::Patient;
use super::problem::Problem;
use super::routes;
use crate::daemon::desk::Front;
use crate::daemon::settings::HttpTerms;

/// Pause between two attempts to listen.
const RETRY: Duration = Duration::from_secs(30);
/// Pause after a connection that could not be accepted, as when there are no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// Connections that are told at once that too many are open; still further ones are closed without a word.
const MAX_REFUSALS: usize = 16;
/// Longest head of a request: far beyond what a browser sends.
const MAX_HEAD_BYTES: usize = 16 * 1024;
/// How long a connection that is to end may take for what it has begun.
const LEAVE: Duration = Duration::from_secs(2);

/// The service that routes lead to.
type Routes = TowerToHyperService<axum::Router>;

/// Listens where the settings say, until the daemon has ended.
pub(super) async fn serve(front: Front) {
    let app = Arc::new(App::new(front.clone()));
    let routes = TowerToHyperService::new(routes::router(Arc::clone(&app)));
    let mut served = front.served.clone();
    let mut told = None;
    loop {
        let terms = served.borrow_and_update().as_ref().map(|served| served.terms.clone());
        let outcome = match &terms {
            None => Ok(None),
            Some(terms) => listen(terms).await.map(Some),
        };
        let problem = outcome.as_ref().err().cloned();
        if told.as_ref() != Some(&problem) {
            front.tell_listening(problem.clone().map_or(Ok(()), Err)).await;
            told = Some(problem);
        }
        let has_ended = match (terms, outcome) {
            (Some(terms), Ok(Some(listener))) => {
                let until_changed = changed(&mut served, Some(&terms));
                accept(listener, &terms, &app, &routes, until_changed).await
            }
            (terms, Err(_)) => tokio::select! {
                ended = changed(&mut served, terms.as_ref()) => ended,
                () = sleep(RETRY) => false,
            },
            (terms, Ok(_)) => changed(&mut served, terms.as_ref()).await,
        };
        if has_ended {
            return;
        }
    }
}

async fn listen(terms: &HttpTerms) -> Result<TcpListener, String> {
    let listener = TcpListener::bind(terms.listen).await.map_err(|error| {
        format!(
            "HTTP is not served: {} cannot be listened on ({error}); name another address in http.listen, or set \
             http.enabled = false. Everything else goes on",
            terms.listen
        )
    })?;
    // Port 0 is whichever is free.
    let address = listener.local_addr().unwrap_or(terms.listen);
    info!("HTTP is served on http://{address}");
    Ok(listener)
}

/// Waits until it is to be listened in another way; whether the daemon has ended.
async fn changed(
    served: &mut watch::Receiver<Option<Arc<crate::daemon::desk::Served>>>,
    now: Option<&HttpTerms>,
) -> bool {
    loop {
        if served.changed().await.is_err() {
            return true;
        }
        let served = served.borrow_and_update();
        let terms = served.as_ref().map(|served| &served.terms);
        let how = |terms: &HttpTerms| (terms.listen, terms.max_concurrent);
        if terms.map(how) != now.map(how) {
            return false;
        }
    }
}

/// Accepts connections until it is to be listened in another way, and has them end then; whether the daemon has ended.
async fn accept(
    listener: TcpListener,
    terms: &HttpTerms,
    app: &Arc<App>,
    routes: &Routes,
    until_changed: impl Future<Output = bool>,
) -> bool {
    let (leave, leaving) = watch::channel(false);
    let slots = Arc::new(Semaphore::new(terms.max_concurrent));
    let refusals = Arc::new(Semaphore::new(MAX_REFUSALS));
    let mut until_changed = std::pin::pin!(until_changed);
    loop {
        let accepted = tokio::select! {
            has_ended = &mut until_changed => {
                leave.send_replace(true);
                return has_ended;
            }
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                debug!("a connection could not be accepted: {error}");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = Connection { app: Arc::clone(app), leaving: leaving.clone() };
        if let Ok(slot) = Arc::clone(&slots).try_acquire_owned() {
            tokio::spawn(connection.serve(stream, routes.clone(), slot));
        } else {
            add(&app.counts.refused, 1);
            if let Ok(slot) = Arc::clone(&refusals).try_acquire_owned() {
                tokio::spawn(connection.refuse(stream, slot));
            }
        }
    }
}

/// One connection.
struct Connection {
    app: Arc<App>,
    leaving: watch::Receiver<bool>,
}

impl Connection {
    async fn serve(self, stream: TcpStream, routes: Routes, slot: OwnedSemaphorePermit) {
        let app = Arc::clone(&self.app);
        add(&app.counts.connections, 1);
        let answer = service_fn(|request| answer(&app, &routes, request));
        self.run(stream, answer, true).await;
        app.counts.connections.fetch_sub(1, std::sync::atomic::Ordering::Relaxed);
        drop(slot);
    }

    /// Says that too many connections are open.
    async fn refuse(self, stream: TcpStream, slot: OwnedSemaphorePermit) {
        let app = Arc::clone(&self.app);
        let busy = service_fn(|_| async {
            app.counts.answered(Route::Other, 503, Duration::ZERO);
            let mut response = Problem::busy("too many connections are open").into_response();
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            Ok::<_, Infallible>(response)
        });
        self.run(stream, busy, false).await;
        drop(slot);
    }

    async fn run<S>(mut self, stream: TcpStream, service: S, keep_alive: bool)
    where
        S: Service<hyper::Request<Incoming>, Response = Response, Error = Infallible>,
    {
        let Ok(timeout) = self.app.serving().map(|serving| serving.served.terms.timeout) else { return };
        // Answers are written at once and as a whole.
        if let Err(error) = stream.set_nodelay(true) {
            debug!("a connection ended at once: {error}");
            return;
        }
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(timeout)
            .max_buf_size(MAX_HEAD_BYTES)
            .keep_alive(keep_alive)
            .serve_connection(TokioIo::new(Patient::new(stream, timeout)), service);
        let mut connection = std::pin::pin!(connection);
        let outcome = tokio::select! {
            outcome = connection.as_mut() => Some(outcome),
            // Its end is the end of listening too.
            _ = self.leaving.wait_for(|leave| *leave) => None,
        };
        let outcome = if let Some(outcome) = outcome {
            outcome
        } else {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(LEAVE, connection).await.unwrap_or(Ok(()))
        };
        if let Err(error) = outcome {
            debug!("a connection ended: {error}");
        }
    }
}

/// Answers one request: guarded, routed, counted.
async fn answer(
    app: &Arc<App>,
    routes: &Routes,
    request: hyper::Request<Incoming>,
) -> Result<Response, Infallible> {
    let begin = Instant::now();
    let route = Route::of(request.uri().path());
    let allowed = app
        .serving()
        .and_then(|serving| serving.guard.check(request.uri(), request.headers(), route.is_public()));
    let response = match allowed {
        Ok(()) => routes.call(request.map(Body::new)).await?,
        Err(problem) => problem.into_response(),
    };
    app.counts.answered(route, response.status().as_u16(), begin.elapsed());
    Ok(response)
}
