//! The view: rows and predictions onto the board, the board onto standard output.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::board::Board;
use super::feed::Sent;
use super::screen::Frame;
use crate::cli::exit::complain;
use crate::cli::output::{Stdout, bulk};
use crate::cli::terminal::{Sheet, Surface};

/// How often the screen is drawn: fast enough to look alive, slow enough to read.
const REDRAW: Duration = Duration::from_millis(250);
/// How often plain lines are printed.
const LINES_EVERY: Duration = Duration::from_secs(2);

/// How the board is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// One JSON line a prediction.
    Json,
    /// A screen that is redrawn.
    Screen,
    /// Plain lines now and then.
    Lines,
}

/// A message from the broker.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) payload: Vec<u8>,
    pub(super) at: Instant,
}

/// The view.
pub(super) struct View {
    board: Board,
    frame: Frame,
    style: Style,
    out: Out,
    start: Instant,
}

enum Out {
    Text(io::BufWriter<Stdout>),
    Screen(Surface<io::BufWriter<Stdout>>),
}

impl View {
    pub(super) fn new(board: Board, frame: Frame, style: Style) -> Self {
        Self { board, frame, style, out: Out::Text(bulk()), start: Instant::now() }
    }

    /// Where the live page is served; `None` when it is not.
    pub(super) fn served_at(&mut self, page: Option<SocketAddr>) {
        self.frame.page = page;
    }

    /// Shows what happens until both sources end.
    pub(super) async fn show(
        &mut self,
        mut sent: mpsc::Receiver<Sent>,
        mut arrived: mpsc::Receiver<Arrived>,
    ) -> anyhow::Result<()> {
        self.start = Instant::now();
        match self.style {
            Style::Screen => {
                self.out = Out::Screen(Surface::open(bulk(), Sheet::Own).context("showing the view")?);
            }
            Style::Lines => self.print(&(self.frame.invitations() + "\n"))?,
            Style::Json => complain(&self.frame.invitations().replace('\n', "; ")),
        }
        let mut redraw = interval(if self.style == Style::Lines { LINES_EVERY } else { REDRAW });
        redraw.set_missed_tick_behavior(MissedTickBehavior::Skip);
        // The first tick comes at once, when there is nothing to show yet.
        redraw.tick().await;
        loop {
            tokio::select! {
                // A row is told before it is sent, so taken in this order no prediction comes without its row.
                biased;
                Some(sent) = sent.recv() => self.board.sent(sent.row, sent.at - self.start),
                Some(arrival) = arrived.recv() => self.arrival(&arrival)?,
                _ = redraw.tick() => self.draw()?,
            }
        }
    }

    fn arrival(&mut self, arrival: &Arrived) -> anyhow::Result<()> {
        let is_first = self.board.predictions == 0;
        let Some(document) = self.board.predicted(&arrival.payload, arrival.at - self.start) else {
            return Ok(());
        };
        match self.style {
            Style::Json => self.print(&format!("{document}\n")),
            // The first prediction is shown at once, not at the next tick.
            _ if is_first => self.draw(),
            _ => Ok(()),
        }
    }

    fn draw(&mut self) -> anyhow::Result<()> {
        let at = self.start.elapsed();
        match self.style {
            Style::Json => Ok(()),
            Style::Lines => self.print(&self.frame.lines(&self.board, at)),
            Style::Screen => self.print(&self.frame.screen(&self.board, at)),
        }
    }

    fn print(&mut self, text: &str) -> anyhow::Result<()> {
        match &mut self.out {
            Out::Text(out) => out.write_all(text.as_bytes()).and_then(|()| out.flush()),
            Out::Screen(surface) => surface.draw(text),
        }
        .context("showing the view")
    }

    /// Leaves the terminal as it was and sums up.
    pub(super) fn close(mut self) -> anyhow::Result<()> {
        let summary = self.board.summary(self.start.elapsed());
        if self.style == Style::Screen {
            self.draw()?;
        }
        self.out = Out::Text(bulk());
        complain(&summary);
        if self.board.predictions == 0 {
            bail!("not one prediction arrived in {:.0?}; was that too short?", self.start.elapsed());
        }
        Ok(())
    }
}
