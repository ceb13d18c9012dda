//! Single keys: the terminal hands them over at once and shows none, until it is told otherwise again.

use std::io::{self, IsTerminal, Read};

use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use tokio::sync::mpsc;

/// Keys that wait to be looked at; further ones are dropped.
const KEYS_WAITING: usize = 16;

/// The keyboard, where standard input is one. Dropped, the terminal is as before.
#[derive(Debug)]
pub(in crate::cli) struct Keys {
    before: Option<Termios>,
    pressed: mpsc::Receiver<u8>,
}

impl Keys {
    /// Takes the keyboard. Signals such as Ctrl-C remain signals.
    pub(in crate::cli) fn take() -> io::Result<Self> {
        let (sender, pressed) = mpsc::channel(KEYS_WAITING);
        let mut keys = Self { before: None, pressed };
        if !io::stdin().is_terminal() {
            return Ok(keys);
        }
        keys.retake()?;
        // Reading cannot be given up, so it has a thread that ends with the process.
        std::thread::Builder::new().name("keys".to_owned()).spawn(move || {
            let mut key = [0; 1];
            while let Ok(1) = io::stdin().lock().read(&mut key) {
                if let [key] = key
                    && sender
                        .try_send(key)
                        .is_err_and(|error| matches!(error, mpsc::error::TrySendError::Closed(_)))
                {
                    return;
                }
            }
        })?;
        Ok(keys)
    }

    /// Takes it again, after [`Keys::give_back`].
    pub(in crate::cli) fn retake(&mut self) -> io::Result<()> {
        if !io::stdin().is_terminal() {
            return Ok(());
        }
        let before = tcgetattr(io::stdin())?;
        let mut raw = before.clone();
        raw.local_modes.remove(LocalModes::ICANON | LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Now, &raw)?;
        self.before = Some(before);
        Ok(())
    }

    /// Leaves the terminal as it was found.
    pub(in crate::cli) fn give_back(&mut self) {
        if let Some(before) = self.before.take() {
            // A terminal that is gone need not be left. What was typed meanwhile is no command for the shell.
            let _ = tcsetattr(io::stdin(), OptionalActions::Flush, &before);
        }
    }

    /// The next key; never, when there is no keyboard.
    pub(in crate::cli) async fn next(&mut self) -> u8 {
        match self.pressed.recv().await {
            Some(key) => key,
            None => std::future::pending().await,
        }
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        self.give_back();
    }
}
