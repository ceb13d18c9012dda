//! `cooltwin watch`: a running daemon and its units, live in a terminal, as lines, or once.

mod board;
mod broker;
mod frame;
mod http;
mod lines;
mod news;
mod pattern;
mod session;

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use hyper::header::HeaderValue;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::health::{self, patience};
use super::run::SourceArgs;
use super::{Failure, Outcome, terminal};
use crate::daemon::clock::WallClock;
use crate::daemon::settings::{Checked, Settings};
use crate::daemon::{Answer, Reply};
use crate::domain::Now;
use board::{Board, Way};
use news::News;
use pattern::Pattern;
use session::{Session, Style};

/// News that wait to be taken in; beyond it the source waits.
const NEWS_WAITING: usize = 64;
/// A prediction this old is marked where no configuration says after which silence a unit raises an alarm.
const USUAL_OLD: Duration = Duration::from_mins(5);
/// Longest wait for the source to take leave.
const LEAVE: Duration = Duration::from_millis(500);
/// Longest token: heads of requests have their bounds.
const MAX_TOKEN_BYTES: u64 = 4 * 1024;

/// Arguments of `cooltwin watch`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    source: SourceArgs,
    /// Watch over HTTP instead, as in `--url http://127.0.0.1:8000`; needs no configuration
    #[arg(long, value_name = "URL", conflicts_with_all = ["config", "overrides"])]
    url: Option<http::Asked>,
    /// File with the token that the HTTP interface asks for
    #[arg(long, value_name = "FILE", requires = "url")]
    token_file: Option<PathBuf>,
    /// Only units of this name; `*` stands for any characters, `?` for one
    #[arg(long, short, value_name = "PATTERN", default_value = "*")]
    unit: Pattern,
    /// Print what is known once, and end
    #[arg(long)]
    once: bool,
    /// Longest wait for all units with --once, in seconds
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = patience, requires = "once")]
    timeout: Duration,
    /// Print JSON: a line for each piece of news, or one document with --once
    #[arg(long)]
    json: bool,
}

/// Where the daemon is looked for.
enum Place {
    Broker(Box<(Settings, Checked)>),
    Http(http::Url, Option<HeaderValue>),
}

/// Watches until the reader has enough.
///
/// # Errors
/// Wrong configuration (78). With --once a daemon that is offline or does not answer, or a broker that cannot be
/// reached (1).
pub fn watch(args: &Args) -> Outcome {
    let place = match &args.url {
        Some(url) => Place::Http(url.url()?, args.token_file.as_deref().map(token).transpose()?),
        None => Place::Broker(Box::new(health::settings(&args.source)?)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("the runtime cannot be started")?;
    let outcome = runtime.block_on(run(args, place));
    // A name server that still thinks must not hold up the exit.
    runtime.shutdown_background();
    outcome
}

/// The token as it goes into a request.
fn token(path: &Path) -> Result<HeaderValue, Failure> {
    let mut text = String::new();
    let file = std::fs::File::open(path).with_context(|| format!("--token-file {}", path.display()))?;
    file.take(MAX_TOKEN_BYTES)
        .read_to_string(&mut text)
        .with_context(|| format!("--token-file {}", path.display()))?;
    let mut value = HeaderValue::try_from(format!("Bearer {}", text.trim())).map_err(|_| {
        Failure::usage(format!(
            "--token-file {}: holds no token: it has characters that none has",
            path.display()
        ))
    })?;
    value.set_sensitive(true);
    Ok(value)
}

async fn run(args: &Args, place: Place) -> Outcome {
    let clock = WallClock::default();
    let style = match (args.once, args.json) {
        (true, _) => Style::Once,
        (false, true) => Style::Json,
        (false, false) if terminal::is_drawable() => Style::Screen,
        (false, false) => Style::Lines,
    };
    let (board, old) = match &place {
        Place::Broker(settings) => {
            let (settings, checked) = settings.as_ref();
            let silence = settings.alarms.unit_silence;
            let old = if silence.is_zero() { USUAL_OLD } else { silence };
            (Board::new(&settings.instance.name, &checked.broker.to_string(), clock.both()), old)
        }
        Place::Http(url, _) => (Board::new("cooltwin", &url.to_string(), clock.both()), USUAL_OLD),
    };
    let (sender, news) = mpsc::channel(NEWS_WAITING);
    let mut telling = tell(&place, sender).await;
    let mut session = Session::new(board, clock.clone(), news, args.unit.clone(), old);
    let outcome = tokio::select! {
        outcome = session.show(style, args.timeout) => outcome,
        // It has no end of its own.
        ended = &mut telling => Err(anyhow::anyhow!("watching has ended by itself: {ended:?}")),
    };
    // The source takes leave when nobody listens any more.
    session.news.close();
    let _ = timeout(LEAVE, telling).await;
    outcome?;
    if style == Style::Once {
        let problem = problem(&session.board, &place, args.timeout, clock.both());
        session.print_once(problem.as_ref(), args.json)?;
        if let Some((_, reason)) = problem {
            return Err(anyhow::anyhow!(reason).into());
        }
    }
    Ok(())
}

/// Why there is nothing to see, in a word and in words: as `cooltwin health` says it.
fn problem(board: &Board, place: &Place, limit: Duration, now: Now) -> Option<(&'static str, String)> {
    let lost = match &board.way {
        Way::Lost { problem, reason } => Some((*problem, reason.clone())),
        _ => None,
    };
    let (settings, checked) = match place {
        Place::Broker(settings) => settings.as_ref(),
        Place::Http(url, _) if board.health.is_none() => {
            return lost
                .or_else(|| Some(("no_answer", format!("no answer from {url} within {limit:?}"))))
                .map(|(problem, reason)| (problem, format!("no connection to {url}: {reason}")));
        }
        Place::Http(..) => return None,
    };
    let reply = match (lost, &board.health) {
        (Some((problem, error)), _) => Reply::NoBroker { problem, error },
        _ if board.is_offline() => Reply::Offline,
        (None, Some(_)) => return board.hidden(now).map(|why| ("hidden", why)),
        (None, None) => {
            let is_hidden = board.refused.contains(&checked.topics.status);
            Reply::Nothing { is_online: (!is_hidden).then_some(board.online.is_some()) }
        }
    };
    health::problem(&Answer { reply, refused: board.refused.clone() }, settings, checked, limit)
}

/// Starts the source.
async fn tell(place: &Place, sender: mpsc::Sender<News>) -> JoinHandle<()> {
    match place {
        Place::Http(url, token) => tokio::spawn(http::tell(url.clone(), token.clone(), sender)),
        Place::Broker(settings) => {
            let (settings, checked) = settings.as_ref().clone();
            if let Some(declared) = broker::declared(settings.bundle.path.as_deref()) {
                // The queue is new and empty.
                let _ = sender.send(News::Declared(declared)).await;
            }
            tokio::spawn(broker::tell(settings, checked, sender))
        }
    }
}
