//! What all requests share.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

use super::counts::Counts;
use super::events::MAX_WATCHERS;
use super::guard::Guard;
use super::openapi;
use super::predict::Predict;
use super::problem::Problem;
use crate::daemon::desk::{Front, Question, Served, Unanswered};
use axum::http::StatusCode;

/// Requests with long bodies in hand at once: each may hold some megabytes.
const LARGE_BODIES: usize = 4;
/// How long an answer of the worker is passed on before it is asked again: however many look, it answers twenty times a
/// second at most.
const FRESH: Duration = Duration::from_millis(50);

/// Longest wait for the worker.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// What is served, ready for use.
pub(super) struct Serving {
    pub(super) served: Arc<Served>,
    pub(super) guard: Guard,
    pub(super) predict: Predict,
    openapi: OnceLock<Bytes>,
}

impl Serving {
    fn new(served: Arc<Served>) -> Self {
        Self {
            guard: Guard::new(&served.terms),
            predict: Predict::new(&served),
            openapi: OnceLock::new(),
            served,
        }
    }

    /// The description of this interface, written when it is first asked for.
    pub(super) fn openapi(&self) -> Bytes {
        self.openapi.get_or_init(|| openapi::document(&self.served)).clone()
    }
}

struct Current {
    receiver: watch::Receiver<Option<Arc<Served>>>,
    serving: Option<Arc<Serving>>,
}

/// An answer that is passed on for a moment.
type Kept<T> = tokio::sync::Mutex<Option<(tokio::time::Instant, T)>>;

/// What all requests share.
pub(super) struct App {
    pub(super) front: Front,
    pub(super) counts: Counts,
    large: Arc<Semaphore>,
    pub(super) watchers: Arc<Semaphore>,
    current: Mutex<Current>,
    pub(super) health: Kept<Arc<crate::daemon::desk::Health>>,
    pub(super) metrics: Kept<Bytes>,
    pub(super) units: Kept<Bytes>,
    /// What who watches is told first, with the time at which it was asked for.
    pub(super) snapshot: Kept<Bytes>,
}

impl App {
    pub(super) fn new(front: Front) -> Self {
        let mut receiver = front.served.clone();
        receiver.mark_changed();
        Self {
            current: Mutex::new(Current { receiver, serving: None }),
            counts: Counts::default(),
            large: Arc::new(Semaphore::new(LARGE_BODIES)),
            watchers: Arc::new(Semaphore::new(MAX_WATCHERS)),
            health: Kept::default(),
            metrics: Kept::default(),
            units: Kept::default(),
            snapshot: Kept::default(),
            front,
        }
    }

    /// What is served now. Looked at by every request, so that none that begins after a reload gets the old models.
    pub(super) fn serving(&self) -> Result<Arc<Serving>, Problem> {
        // Nothing that holds the lock panics half-way.
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.receiver.has_changed().unwrap_or(false) {
            let served = current.receiver.borrow_and_update().clone();
            current.serving = served.map(|served| Arc::new(Serving::new(served)));
        }
        current
            .serving
            .clone()
            .ok_or_else(|| Problem::busy("HTTP is switched off, or the daemon is starting"))
    }

    /// A place among the requests with long bodies or answers.
    pub(super) fn large(&self) -> Result<OwnedSemaphorePermit, Problem> {
        let busy = |_| Problem::busy("too many long requests at once");
        Arc::clone(&self.large).try_acquire_owned().map_err(busy)
    }

    /// Asks the worker.
    pub(super) async fn ask<T>(
        &self,
        patience: Duration,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, Problem> {
        self.front.ask(patience, question).await.map_err(|why| match why {
            Unanswered::Busy => Problem::busy("too many ask at once"),
            Unanswered::Late => Problem::new(StatusCode::GATEWAY_TIMEOUT, "the daemon does not answer"),
            Unanswered::Gone => Problem::busy("the daemon is stopping"),
        })
    }
}

/// The answer that is kept, or a new one. Who comes meanwhile waits for the same one, and no longer than the first.
pub(super) async fn kept<T: Clone>(
    kept: &Kept<T>,
    renew: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let late = |_| Problem::new(StatusCode::GATEWAY_TIMEOUT, "the daemon does not answer");
    let mut kept = tokio::time::timeout(PATIENCE, kept.lock()).await.map_err(late)?;
    if let Some((since, answer)) = &*kept
        && since.elapsed() < FRESH
    {
        return Ok(answer.clone());
    }
    let answer = renew.await?;
    *kept = Some((tokio::time::Instant::now(), answer.clone()));
    Ok(answer)
}
