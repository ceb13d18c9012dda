//! Where others ask about the running daemon. Questions lie in a bounded queue and the worker answers one a turn, so
//! that whoever asks, and however often, holds up no message. What they need all the time, the models and the terms they
//! serve by, is handed out whenever it changes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::time::timeout;

use super::health::Figures;
use super::settings::HttpTerms;
use crate::bundle::{Bundle, Evaluator, Manifest};
use crate::domain::{ModelIdentity, Monotonic, UnitId, ZoneSpec};
use crate::engine::{AlarmView, UnitList, UnitView};

/// Questions that wait for the worker: as many as it answers in a few milliseconds.
const MAX_QUESTIONS: usize = 32;
/// Published documents held for those who watch; who falls behind further misses the oldest, and is told.
const MAX_EVENTS: usize = 256;

/// What may be asked. An answer that nobody waits for any more is thrown away.
#[derive(Debug)]
pub enum Question {
    /// How is the daemon?
    Health(oneshot::Sender<Health>),
    /// What was counted? With so many units at most.
    Figures(usize, oneshot::Sender<Box<Figures>>),
    /// Which units are there? So many at most.
    Units(usize, oneshot::Sender<UnitList>),
    /// What is known of one unit?
    Unit(UnitId, oneshot::Sender<Option<Box<UnitView>>>),
    /// No question: nobody can ask over HTTP, for this reason; or they can again.
    Listening(Result<(), String>),
}

/// How the daemon is.
#[derive(Debug, Clone)]
pub struct Health {
    /// Why it does not do its work, in words that stay the same over versions; none when it does.
    pub reasons: Vec<&'static str>,
    /// Whether the broker is connected.
    pub is_connected: bool,
    /// The health document as it is published.
    pub document: Vec<u8>,
    /// Alarms of the daemon that stand.
    pub alarms: Vec<AlarmView>,
}

/// What is served, from one start or reload to the next.
#[derive(Debug)]
pub struct Served {
    /// How, and to whom.
    pub terms: HttpTerms,
    /// Name of the daemon.
    pub instance: String,
    /// Which models.
    pub identity: ModelIdentity,
    /// What their bundle declares.
    pub manifest: Manifest,
    /// To be cloned: it shares the models with the engine.
    pub evaluator: Evaluator,
    /// Features computed from a measured target.
    pub leaking_features: Vec<String>,
    /// Zone of times that come without an offset.
    pub zone: ZoneSpec,
}

impl Served {
    /// A bundle's models, by these terms.
    pub(crate) fn new(terms: HttpTerms, instance: String, bundle: &Bundle, zone: ZoneSpec) -> Self {
        Self {
            terms,
            instance,
            identity: bundle.identity.clone(),
            manifest: bundle.manifest.clone(),
            evaluator: bundle.evaluator.clone(),
            leaking_features: bundle.leaking_features.clone(),
            zone,
        }
    }
}

/// A document that was published, for those who watch.
#[derive(Debug, Clone)]
pub struct Published {
    /// What it is: `prediction`, `state`, `alarm` or `health`; or what became known beside: `alarm_cleared`, `unit_evicted`.
    pub kind: &'static str,
    /// Where it was published; `None` when it was not.
    pub topic: Option<Arc<str>>,
    /// JSON; empty when a retained document was removed.
    pub payload: Arc<[u8]>,
}

impl Published {
    pub(super) fn health(topic: &str, document: &[u8]) -> Self {
        Self { kind: "health", topic: Some(topic.into()), payload: document.into() }
    }
}

/// The worker's end.
#[derive(Debug)]
pub struct Desk {
    /// `None` when nobody asks, or nobody can any more.
    questions: Option<mpsc::Receiver<Question>>,
    served: watch::Sender<Option<Arc<Served>>>,
    published: broadcast::Sender<Published>,
    turn: Arc<AtomicU64>,
}

impl Default for Desk {
    /// A desk where nobody asks.
    fn default() -> Self {
        let (mut desk, _) = Self::open();
        desk.questions = None;
        desk
    }
}

/// The end of those who ask.
#[derive(Debug, Clone)]
pub struct Front {
    questions: mpsc::Sender<Question>,
    /// What is served; `None` when nothing is. Its end is the daemon's.
    pub served: watch::Receiver<Option<Arc<Served>>>,
    published: broadcast::Sender<Published>,
    /// When the turn began in which the worker is, in microseconds; 0 while it waits for something to do.
    turn: Arc<AtomicU64>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unanswered {
    /// Too many ask.
    Busy,
    /// The worker took longer than the asker waits.
    Late,
    /// The daemon has ended.
    Gone,
}

impl Desk {
    /// Both ends.
    #[must_use]
    pub fn open() -> (Self, Front) {
        let (ask, questions) = mpsc::channel(MAX_QUESTIONS);
        let (serve, served) = watch::channel(None);
        let (published, _) = broadcast::channel(MAX_EVENTS);
        let turn = Arc::default();
        let front = Front { questions: ask, served, published: published.clone(), turn: Arc::clone(&turn) };
        (Self { questions: Some(questions), served: serve, published, turn }, front)
    }

    /// Hands out what is served from now on.
    pub(super) fn serve(&self, served: Option<Served>) {
        self.served.send_replace(served.map(Arc::new));
    }

    /// A turn of the worker begins.
    pub(super) fn begin_turn(&self, now: Monotonic) {
        self.turn.store(now.0.max(1), Ordering::Relaxed);
    }

    /// The worker has completed its turn and waits, or is stopping.
    pub(super) fn end_turn(&self) {
        self.turn.store(0, Ordering::Relaxed);
    }

    /// Whether anybody takes what is served.
    pub(super) fn is_open(&self) -> bool {
        self.questions.is_some()
    }

    /// Whether anybody watches what is published.
    pub(super) fn is_watched(&self) -> bool {
        self.published.receiver_count() > 0
    }

    /// Shows a document to those who watch.
    pub(super) fn show(&self, published: Published) {
        // Nobody watches: nothing is lost.
        let _ = self.published.send(published);
    }

    /// The next question; never, when nobody asks.
    pub(crate) async fn next(&mut self) -> Question {
        if let Some(questions) = &mut self.questions {
            if let Some(question) = questions.recv().await {
                return question;
            }
            self.questions = None;
        }
        std::future::pending().await
    }
}

impl Front {
    /// Asks and waits for the answer, for so long at most.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn ask<T>(
        &self,
        patience: Duration,
        question: impl FnOnce(oneshot::Sender<T>) -> Question,
    ) -> Result<T, Unanswered> {
        let (reply, answer) = oneshot::channel();
        self.questions.try_send(question(reply)).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Unanswered::Busy,
            mpsc::error::TrySendError::Closed(_) => Unanswered::Gone,
        })?;
        match timeout(patience, answer).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(_)) => Err(Unanswered::Gone),
            Err(_) => Err(Unanswered::Late),
        }
    }

    /// For how long the worker has been at the same turn; zero while it waits for something to do.
    #[must_use]
    pub fn busy_for(&self, now: Monotonic) -> Duration {
        match self.turn.load(Ordering::Relaxed) {
            0 => Duration::ZERO,
            since => now.since(Monotonic(since)),
        }
    }

    /// Says whether anybody can ask over HTTP.
    pub async fn tell_listening(&self, outcome: Result<(), String>) {
        // A daemon that has ended need not know.
        let _ = self.questions.send(Question::Listening(outcome)).await;
    }

    /// What is published from now on.
    #[must_use]
    pub fn watch(&self) -> broadcast::Receiver<Published> {
        self.published.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_hangs_is_known_without_asking_it() {
        let (desk, front) = Desk::open();
        let at = |second: u64| Monotonic(second * 1_000_000);
        assert_eq!(front.busy_for(at(100)), Duration::ZERO);
        desk.begin_turn(at(10));
        // However many have asked in vain.
        let (mut late, mut busy) = (0, 0);
        for _ in 0..2 * MAX_QUESTIONS {
            match front.ask(Duration::ZERO, Question::Health).await {
                Err(Unanswered::Late) => late += 1,
                Err(Unanswered::Busy) => busy += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!((late, busy), (MAX_QUESTIONS, MAX_QUESTIONS));
        assert_eq!(front.busy_for(at(100)), Duration::from_secs(90));
        desk.end_turn();
        assert_eq!(front.busy_for(at(100)), Duration::ZERO);
    }
}
