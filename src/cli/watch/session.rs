//! From the first news to the end: news onto the board, the board onto standard output, keys and signals.

use std::io::{self, Write};
use std::time::Duration;

use anyhow::Context;
use rustix::process::{Signal, getpid, kill_process};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep_until};

use super::board::{Board, Change, Way};
use super::frame::{Frame, ago};
use super::lines;
use super::news::News;
use super::pattern::Pattern;
use crate::cli::exit::complain;
use crate::cli::output::{Stdout, bulk};
use crate::cli::terminal::{self, Keys, Sheet, Surface};
use crate::daemon::clock::WallClock;

/// How often the screen is drawn at most: fast enough to look alive, slow enough to read.
const REDRAW: Duration = Duration::from_millis(250);
/// How often it is drawn though nothing was heard: ages grow by the second.
const REDRAW_IDLE: Duration = Duration::from_secs(1);
/// After a connection all that the broker has kept comes at once, if in no order; so much is waited for it.
const SETTLED: Duration = Duration::from_millis(300);
/// How long a daemon that is said to be offline is waited for: it may have been started this moment.
const OFFLINE_GRACE: Duration = Duration::from_secs(2);
/// Ctrl-L, by which people have terminals drawn anew.
const CTRL_L: u8 = 0x0C;
/// Ctrl-C and Ctrl-D, where they come as keys.
const CTRL_C: u8 = 0x03;
const CTRL_D: u8 = 0x04;

/// How it is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// A screen that is redrawn.
    Screen,
    /// A line for each piece of news.
    Lines,
    /// The same as JSON.
    Json,
    /// Nothing before the end.
    Once,
}

/// What is known, and how to hear more.
pub(super) struct Session {
    pub(super) board: Board,
    pub(super) news: mpsc::Receiver<News>,
    clock: WallClock,
    pattern: Pattern,
    old: Duration,
}

/// What people and the system may want of a screen.
struct Wishes {
    keys: Keys,
    resized: unix::Signal,
    suspended: unix::Signal,
}

enum Wish {
    End,
    Draw,
    Suspend,
}

impl Wishes {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self {
            resized: listen(SignalKind::window_change())?,
            suspended: listen(SignalKind::from_raw(Signal::TSTP.as_raw()))?,
            keys: Keys::take().context("taking the keyboard")?,
        })
    }

    async fn next(&mut self) -> Wish {
        loop {
            tokio::select! {
                key = self.keys.next() => match key {
                    b'q' | b'Q' | CTRL_C | CTRL_D => return Wish::End,
                    CTRL_L => return Wish::Draw,
                    _ => {}
                },
                _ = self.resized.recv() => return Wish::Draw,
                _ = self.suspended.recv() => return Wish::Suspend,
            }
        }
    }
}

impl Session {
    pub(super) fn new(
        board: Board,
        clock: WallClock,
        news: mpsc::Receiver<News>,
        pattern: Pattern,
        old: Duration,
    ) -> Self {
        Self { board, news, clock, pattern, old }
    }

    /// Shows what is heard until the reader has enough, or all is known that was asked for.
    pub(super) async fn show(&mut self, style: Style, limit: Duration) -> anyhow::Result<()> {
        let mut end = Ends::listen()?;
        tokio::select! {
            shown = async {
                match style {
                    Style::Screen => self.screen().await,
                    Style::Lines | Style::Json => self.lines(style).await,
                    Style::Once => self.once(limit).await,
                }
            } => shown,
            () = end.next() => Ok(()),
        }
    }

    async fn hear(&mut self) -> Option<(News, Change)> {
        let news = self.news.recv().await?;
        let change = self.board.hear(&news, self.clock.both());
        Some((news, change))
    }

    async fn screen(&mut self) -> anyhow::Result<()> {
        terminal::panic_visibly();
        let mut wishes = Wishes::listen()?;
        let mut surface = Surface::open(bulk(), Sheet::Other).context("drawing")?;
        let mut ticks = interval(REDRAW);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut is_new, mut drawn) = (true, Instant::now());
        loop {
            let draws = tokio::select! {
                heard = self.hear() => {
                    if heard.is_none() {
                        return Ok(());
                    }
                    is_new = true;
                    false
                }
                _ = ticks.tick() => is_new || drawn.elapsed() >= REDRAW_IDLE,
                wish = wishes.next() => {
                    match wish {
                        Wish::End => return Ok(()),
                        Wish::Draw => {}
                        Wish::Suspend => suspend(&mut surface, &mut wishes.keys)?,
                    }
                    true
                }
            };
            if draws {
                (is_new, drawn) = (false, Instant::now());
                surface
                    .draw(&self.frame(terminal::size()).screen(&self.board, self.clock.both()))
                    .context("drawing")?;
            }
        }
    }

    fn frame(&self, (columns, lines): (usize, usize)) -> Frame {
        Frame {
            columns,
            lines: Some(lines),
            with_colour: terminal::is_coloured(),
            pattern: self.pattern.clone(),
            old: self.old,
            footer: format!("q ends   residual: measured - predicted   !: older than {}", ago(self.old)),
        }
    }

    async fn lines(&mut self, style: Style) -> anyhow::Result<()> {
        let mut out = bulk();
        while let Some((news, change)) = self.hear().await {
            let now = self.clock.both();
            let line = match style {
                Style::Json => lines::json_line(&news, &self.pattern, now),
                _ => lines::line(&self.board, &change, &self.pattern, terminal::is_coloured(), now),
            };
            if let Some(line) = line {
                print(&mut out, &line)?;
            }
        }
        Ok(())
    }

    async fn once(&mut self, limit: Duration) -> anyhow::Result<()> {
        let deadline = Instant::now() + limit;
        let mut until = deadline;
        loop {
            tokio::select! {
                heard = self.hear() => if heard.is_none() { return Ok(()) },
                () = sleep_until(until) => {
                    if Instant::now() >= deadline || self.is_settled() {
                        return Ok(());
                    }
                }
            }
            until = match &self.board.way {
                // Closed by a broker that does not allow the question; it is asked no more and heartbeats tell.
                Way::Lost { problem: "closed", .. } => deadline,
                Way::Lost { .. } => return Ok(()),
                Way::Open if self.is_settled() => return Ok(()),
                // To look again when it may be.
                _ => deadline.min(Instant::now() + SETTLED),
            };
        }
    }

    /// Whether nothing is to be gained by waiting.
    fn is_settled(&self) -> bool {
        let now = self.clock.both();
        let is_away =
            self.board.online.is_some_and(|(is_online, since)| !is_online && since.age(now) >= OFFLINE_GRACE);
        is_away || self.board.is_complete() && self.board.way_since.age(now) >= SETTLED
    }

    /// All that is known, once.
    pub(super) fn print_once(
        &self,
        problem: Option<&(&'static str, String)>,
        as_json: bool,
    ) -> anyhow::Result<()> {
        let now = self.clock.both();
        let mut out = bulk();
        if as_json {
            let problem = problem.map(|(word, reason)| (*word, reason.as_str()));
            return print(&mut out, &lines::json_snapshot(&self.board, problem, &self.pattern, now));
        }
        if self.board.health.is_none() && self.board.units.is_empty() {
            // The problem says it all.
            return Ok(());
        }
        let columns = if terminal::is_drawable() { terminal::size().0 } else { usize::MAX };
        let frame = Frame {
            columns,
            lines: None,
            with_colour: terminal::is_coloured(),
            pattern: self.pattern.clone(),
            old: self.old,
            footer: String::new(),
        };
        print(&mut out, &frame.screen(&self.board, now))?;
        let unseen = self.board.units.values().filter(|unit| self.pattern.matches(&unit.name));
        let unseen = unseen.filter(|unit| unit.is_unseen()).count();
        if unseen > 0 {
            complain(&format!(
                "{unseen} of the units were not predicted meanwhile, so their numbers are not known; they are with the next \
                 reading: give more --timeout, or ask over HTTP (--url)"
            ));
        }
        Ok(())
    }
}

fn print(out: &mut io::BufWriter<Stdout>, text: &str) -> anyhow::Result<()> {
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("showing")
}

/// Stops as Ctrl-Z wants it, with the terminal as it was, and goes on when told to.
fn suspend<W: Write>(surface: &mut Surface<W>, keys: &mut Keys) -> anyhow::Result<()> {
    surface.close().context("leaving the terminal")?;
    keys.give_back();
    kill_process(getpid(), Signal::STOP).context("stopping")?;
    // Here it goes on.
    keys.retake().context("taking the keyboard")?;
    surface.reopen().context("drawing")
}

/// The signals that end it.
struct Ends([unix::Signal; 3]);

impl Ends {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("listening for signals");
        Ok(Self([
            listen(SignalKind::interrupt())?,
            listen(SignalKind::terminate())?,
            listen(SignalKind::hangup())?,
        ]))
    }

    async fn next(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}
