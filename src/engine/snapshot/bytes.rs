//! Numbers and texts as bytes and back, every length checked before it is believed.

use std::time::Duration;

use super::SnapshotError;
use crate::domain::Timestamp;

/// Eight bytes, little end first.
pub(super) fn put_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(&number.to_le_bytes());
}

/// Length, then UTF-8.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

/// Reads what the functions above wrote.
#[derive(Debug)]
pub(super) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Bytes that are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    pub(super) fn is_at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn take(&mut self, bytes: usize) -> Result<&'a [u8], SnapshotError> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(SnapshotError::Damaged("cut off"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn number(&mut self) -> Result<u64, SnapshotError> {
        let bytes = self.take(8)?.try_into().map_err(|_| SnapshotError::Damaged("cut off"))?;
        Ok(u64::from_le_bytes(bytes))
    }

    /// A number of things that take at least `bytes_each` bytes each; no more than the bytes that are left can hold.
    pub(super) fn count(&mut self, bytes_each: usize) -> Result<usize, SnapshotError> {
        let count = usize::try_from(self.number()?).ok();
        let fits = |count: &usize| {
            count.checked_mul(bytes_each.max(1)).is_some_and(|bytes| bytes <= self.rest.len())
        };
        count
            .filter(|count| bytes_each == 0 || fits(count))
            .ok_or(SnapshotError::Damaged("a count beyond its end"))
    }

    pub(super) fn text(&mut self, most: usize) -> Result<String, SnapshotError> {
        let length = self.count(1)?;
        if length > most {
            return Err(SnapshotError::Damaged("a text that is too long"));
        }
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes)
            .map(str::to_owned)
            .map_err(|_| SnapshotError::Damaged("a text that is none"))
    }

    /// A double that is a number.
    pub(super) fn float(&mut self) -> Result<f64, SnapshotError> {
        let value = f64::from_bits(self.number()?);
        if value.is_finite() { Ok(value) } else { Err(SnapshotError::Damaged("a value that is no number")) }
    }

    /// A double that is a number, or the one NaN that stands for no value.
    pub(super) fn sample(&mut self) -> Result<f64, SnapshotError> {
        match f64::from_bits(self.number()?) {
            value if value.is_infinite() => Err(SnapshotError::Damaged("a sample that is no number")),
            value if value.is_nan() => Ok(f64::NAN),
            value => Ok(value),
        }
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, SnapshotError> {
        let micros = self.number()? as i64;
        let time = Timestamp::from_micros(micros);
        if time.as_micros() == micros { Ok(time) } else { Err(SnapshotError::Damaged("a time that is none")) }
    }

    pub(super) fn duration(&mut self) -> Result<Duration, SnapshotError> {
        Ok(Duration::from_micros(self.number()?))
    }

    pub(super) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, SnapshotError>,
    ) -> Result<Option<T>, SnapshotError> {
        match self.number()? {
            0 => Ok(None),
            1 => read(self).map(Some),
            _ => Err(SnapshotError::Damaged("neither there nor not")),
        }
    }
}
