//! Predictions for readings that come with the request. Nothing is kept of them: each row stands alone, so windows over a
//! unit's history see this one moment only, and the quality says so.

mod answer;
mod body;
mod evaluate;
#[cfg(fuzzing)]
mod fuzzing;
mod names;
mod sample;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{Request, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::sync::OwnedSemaphorePermit;

use super::app::{App, Serving};
use super::counts::add;
use super::problem::{Problem, Violation};
use super::routes::fresh;
use crate::daemon::clock::{WallClock, monotonic_nanos};
use crate::daemon::desk::Served;
use crate::domain::CLOCK_FLOOR;
use crate::domain::json::without_bare_words;
use evaluate::Evaluating;
#[cfg(fuzzing)]
pub use fuzzing::Answering;
use names::Names;
use sample::Sample;
pub(super) use sample::{LARGEST_FEATURE, TIME_KEY, range_of_channel};

/// Most samples of a batch; a day of one unit, minute by minute, is less than half of it.
pub(super) const MAX_SAMPLES: usize = 4_096;
/// Samples after which others have their turn: some hundred microseconds.
const SAMPLES_A_TURN: usize = 32;
/// The same in bytes, for samples that are long.
const BYTES_A_TURN: usize = 32 * 1024;
/// Batches of more samples are in hand only a few at a time, as their answers are long.
const MANY_SAMPLES: usize = 64;
/// Most violations listed; more than anybody mends at once.
pub(super) const MAX_VIOLATIONS: usize = 100;
/// Bytes of one answer, about.
const ANSWER_BYTES: usize = 1024;

/// What predictions need, made anew whenever other models are served.
pub(super) struct Predict {
    names: Names,
    clock: WallClock,
    /// Used for one sample at a time and never while anything is waited for.
    working: Mutex<Working>,
}

struct Working {
    evaluating: Evaluating,
    sample: Sample,
}

/// Violations, as many as are listed, and how many there are.
#[derive(Default)]
pub(super) struct Violations {
    listed: Vec<Violation>,
    count: usize,
}

impl Violations {
    fn add(&mut self, violation: impl FnOnce() -> Violation) {
        self.count += 1;
        if self.listed.len() < MAX_VIOLATIONS {
            self.listed.push(violation());
        }
    }

    fn into_result(self) -> Result<(), Problem> {
        if self.count == 0 {
            return Ok(());
        }
        let more = self.count - self.listed.len();
        Err(Problem::violations(self.listed, more))
    }
}

impl Predict {
    pub(super) fn new(served: &Arc<Served>) -> Self {
        let names = Names::new(&served.manifest);
        let working = Working { evaluating: Evaluating::new(served), sample: Sample::new(&names) };
        Self { names, clock: WallClock::default(), working: Mutex::new(working) }
    }

    /// Reads and evaluates one sample and appends its answer; only reads it when something is wrong already.
    fn one(
        &self,
        served: &Served,
        text: &str,
        place: Option<usize>,
        violations: &mut Violations,
        out: &mut Vec<u8>,
    ) -> Result<(), Problem> {
        let begin = monotonic_nanos();
        let mut working = self.working.lock().unwrap_or_else(PoisonError::into_inner);
        let Working { evaluating, sample } = &mut *working;
        sample.read(text, place, &self.names, served, violations)?;
        sample.check(place, &self.names, served, violations);
        if violations.count > 0 {
            return Ok(());
        }
        let now = self.clock.now();
        // Nobody knows when now is.
        let is_clock_unset = sample.time.is_none() && now < CLOCK_FLOOR;
        let outcome = evaluating.evaluate(sample, sample.time.unwrap_or(now), is_clock_unset);
        let latency = place.is_none().then(|| milliseconds(begin));
        answer::write(served, &outcome, latency, out);
        Ok(())
    }
}

fn milliseconds(since_nanos: u64) -> f64 {
    monotonic_nanos().saturating_sub(since_nanos) as f64 / 1e6
}

/// The body as text, with what some writers leave bare in JSON marked.
fn parsed<T>(text: &str, mut parse: impl FnMut(&str) -> Result<T, Problem>) -> Result<T, Problem> {
    parse(text).or_else(|problem| match without_bare_words(text) {
        Some(repaired) => parse(&repaired),
        None => Err(problem),
    })
}

pub(super) fn not_json(error: &serde_json::Error) -> Problem {
    let status = if error.is_data() { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
    let detail = if error.is_data() {
        format!("the body has another shape than GET /openapi.json describes: {error}")
    } else {
        format!("the body is not JSON: {error}")
    };
    Problem::new(status, detail)
}

/// `POST /predict`.
pub(super) async fn single(State(app): State<Arc<App>>, request: Request<Body>) -> Result<Response, Problem> {
    let serving = app.serving()?;
    let body = body::read(&app, &serving.served.terms, request).await?;
    let mut out = Vec::with_capacity(ANSWER_BYTES);
    parsed(body.text()?, |text| {
        let mut violations = Violations::default();
        serving.predict.one(&serving.served, text, None, &mut violations, &mut out)?;
        violations.into_result()
    })?;
    add(&app.counts.predictions, 1);
    Ok(fresh(StatusCode::OK, "application/json", out))
}

/// The documented form of a batch.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BatchRequest<'a> {
    #[serde(borrow)]
    samples: Vec<&'a RawValue>,
}

/// `POST /predict/batch`: `{"samples": [...]}`, or the bare list.
pub(super) async fn batch(State(app): State<Arc<App>>, request: Request<Body>) -> Result<Response, Problem> {
    let serving = app.serving()?;
    let mut body = body::read(&app, &serving.served.terms, request).await?;
    let permit = body.take_permit();
    let text = body.text()?;
    let answer = match samples_answer(&app, &serving, text, permit).await {
        Ok(answer) => answer,
        Err((problem, permit)) => match without_bare_words(text) {
            Some(repaired) => {
                samples_answer(&app, &serving, &repaired, permit).await.map_err(|(problem, _)| problem)?
            }
            None => return Err(problem),
        },
    };
    Ok(fresh(StatusCode::OK, "application/json", answer))
}

/// An answer that holds its place among the long ones until the last byte has gone out.
struct Long {
    bytes: Vec<u8>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl AsRef<[u8]> for Long {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Why a batch is refused; with the place it had among the long ones.
type Refused = (Problem, Option<OwnedSemaphorePermit>);

async fn samples_answer(
    app: &App,
    serving: &Serving,
    text: &str,
    permit: Option<OwnedSemaphorePermit>,
) -> Result<Bytes, Refused> {
    let samples = match samples_of(text) {
        Ok(samples) => samples,
        Err(problem) => return Err((problem, permit)),
    };
    let permit = match permit {
        None if samples.len() > MANY_SAMPLES => Some(app.large().map_err(|problem| (problem, None))?),
        permit => permit,
    };
    match predict_all(serving, text, &samples).await {
        Ok(bytes) => {
            add(&app.counts.predictions, samples.len() as u64);
            Ok(Bytes::from_owner(Long { bytes, _permit: permit }))
        }
        Err(problem) => Err((problem, permit)),
    }
}

fn is_list(text: &str) -> bool {
    text.trim_start().starts_with('[')
}

fn samples_of(text: &str) -> Result<Vec<&RawValue>, Problem> {
    let samples: Vec<&RawValue> = if is_list(text) {
        serde_json::from_str(text).map_err(|error| not_json(&error))?
    } else {
        serde_json::from_str::<BatchRequest<'_>>(text).map_err(|error| not_json(&error))?.samples
    };
    if samples.is_empty() || samples.len() > MAX_SAMPLES {
        let detail = format!("a batch has 1 to {MAX_SAMPLES} samples, this one has {}", samples.len());
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, detail));
    }
    Ok(samples)
}

async fn predict_all(serving: &Serving, text: &str, samples: &[&RawValue]) -> Result<Vec<u8>, Problem> {
    let begin = monotonic_nanos();
    let is_list = is_list(text);
    let mut out = Vec::with_capacity(samples.len() * ANSWER_BYTES / 2);
    out.extend_from_slice(if is_list { b"[" } else { b"{\"predictions\":[" });
    let mut violations = Violations::default();
    let mut bytes = 0;
    for (place, sample) in samples.iter().enumerate() {
        if place > 0 {
            out.push(b',');
            if place % SAMPLES_A_TURN == 0 || bytes > BYTES_A_TURN {
                bytes = 0;
                tokio::task::yield_now().await;
            }
        }
        bytes += sample.get().len();
        serving.predict.one(&serving.served, sample.get(), Some(place), &mut violations, &mut out)?;
    }
    violations.into_result()?;
    out.push(b']');
    if !is_list {
        answer::write_batch_end(&serving.served, samples.len(), milliseconds(begin), &mut out);
    }
    Ok(out)
}

/// Waits for something of a request for so long at most.
pub(super) async fn in_time<T>(
    timeout: Duration,
    future: impl Future<Output = Result<T, Problem>>,
) -> Result<T, Problem> {
    let late = || Problem::new(StatusCode::REQUEST_TIMEOUT, "the body did not arrive in time");
    tokio::time::timeout(timeout, future).await.map_err(|_| late())?
}
