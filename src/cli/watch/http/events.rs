//! Server-sent events out of bytes that come in pieces.

use anyhow::bail;

/// Longest event: a snapshot of a thousand units with all their alarms and reasons.
const MAX_EVENT_BYTES: usize = 16 * 1024 * 1024;

/// Cuts a stream into events.
#[derive(Debug, Default)]
pub(super) struct Events {
    bytes: Vec<u8>,
    /// Where to look on: what stands before has no end of a line.
    looked_at: usize,
    name: String,
    data: String,
}

impl Events {
    /// Adds bytes as they came.
    ///
    /// # Errors
    /// An event grows beyond all measure.
    pub(super) fn push(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        if self.bytes.len() + self.data.len() + bytes.len() > MAX_EVENT_BYTES {
            bail!("an event is longer than {MAX_EVENT_BYTES} bytes");
        }
        self.bytes.extend_from_slice(bytes);
        Ok(())
    }

    /// The next whole event, its name and its data.
    pub(super) fn next(&mut self) -> Option<(String, String)> {
        loop {
            let rest = self.bytes.get(self.looked_at..)?;
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                self.looked_at = self.bytes.len();
                return None;
            };
            let line: Vec<u8> = self.bytes.drain(..=self.looked_at + end).collect();
            self.looked_at = 0;
            if let Some(event) = self.line(&String::from_utf8_lossy(&line)) {
                return Some(event);
            }
        }
    }

    /// Takes a line in; an empty one completes the event.
    fn line(&mut self, line: &str) -> Option<(String, String)> {
        let line = line.trim_end_matches(['\r', '\n']);
        if line.is_empty() {
            let (name, data) = (std::mem::take(&mut self.name), std::mem::take(&mut self.data));
            return (!data.is_empty()).then_some((name, data));
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.name),
            "data" => {
                if !self.data.is_empty() {
                    self.data.push('\n');
                }
                self.data.push_str(value);
            }
            // Comments, which have no name, and fields that are of no use here.
            _ => {}
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_give_the_same_events() {
        let stream = b"event: snapshot\ndata: {\"a\":1}\n\n:\n\nevent: state\r\nid: 7\r\ndata: one\r\ndata:two\r\n\r\ndata: unnamed\n\nevent: empty\n\nevent: begun\ndata: x";
        let expected = [("snapshot", "{\"a\":1}"), ("state", "one\ntwo"), ("", "unnamed")];
        for size in 1..stream.len() {
            let mut events = Events::default();
            let mut found = Vec::new();
            for piece in stream.chunks(size) {
                events.push(piece).unwrap();
                while let Some(event) = events.next() {
                    found.push(event);
                }
            }
            assert_eq!(
                found.iter().map(|(name, data)| (name.as_str(), data.as_str())).collect::<Vec<_>>(),
                expected,
                "{size}"
            );
        }
    }

    #[test]
    fn an_event_without_end_is_given_up() {
        let mut events = Events::default();
        let piece = vec![b'x'; MAX_EVENT_BYTES / 4];
        let pushed = (0..5).map(|_| {
            let pushed = events.push(&piece);
            assert_eq!(events.next(), None);
            pushed
        });
        assert!(pushed.collect::<Vec<_>>().last().unwrap().is_err());
    }
}
