//! The form of a journal: one line a record, each with its number and a checksum over itself and all before it.
//!
//! Whoever keeps one appends a line and syncs it before acting on it. A crash may cut off the last line: that record
//! was never acted on, and is dropped. Anything else that is wrong is damage, and nothing of the journal is believed.

use std::fmt::Write as _;

use serde::Serialize;
use serde::de::DeserializeOwned;
use twox_hash::XxHash3_64;

use crate::error::{Error, Result, codes};

/// Where a journal ends: what the next line needs to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct End {
    /// Records so far.
    pub records: u64,
    /// Bytes of whole lines so far.
    pub bytes: u64,
    /// Checksum of the last line.
    sum: u64,
}

impl End {
    /// The line of one more record, and where the journal ends with it.
    ///
    /// # Errors
    /// Data error if the record has no form in JSON.
    pub fn line(self, record: &impl Serialize) -> Result<(String, Self)> {
        let json = serde_json::to_string(record)
            .map_err(|e| Error::new(codes::JOURNAL_DAMAGED, format!("a record can't be written: {e}")))?;
        let records = self.records + 1;
        let sum = self.sum_with(&json);
        let mut line = String::with_capacity(json.len() + 40);
        let _ = writeln!(line, "{records} {sum:016x} {json}");
        let end = Self { records, bytes: self.bytes + line.len() as u64, sum };
        Ok((line, end))
    }

    fn sum_with(self, json: &str) -> u64 {
        XxHash3_64::oneshot(format!("{:016x} {} {json}", self.sum, self.records + 1).as_bytes())
    }
}

/// A journal that was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Read<T> {
    /// Its records, oldest first.
    pub records: Vec<T>,
    /// Where it ends. What follows in the file was cut off, and is to be removed before the next line.
    pub end: End,
}

/// Reads a journal.
///
/// # Errors
/// As [`fold`].
pub fn read<T: DeserializeOwned>(bytes: &[u8]) -> Result<Read<T>> {
    let mut records = Vec::new();
    let end = fold(bytes, |record| {
        records.push(record);
        Ok(())
    })?;
    Ok(Read { records, end })
}

/// Passes a journal's records on, oldest first; where it ends.
///
/// # Errors
/// Data error, naming the line, for any damage but an unfinished last line; whatever `take` answers.
pub fn fold<T: DeserializeOwned>(bytes: &[u8], take: impl FnMut(T) -> Result<()>) -> Result<End> {
    fold_on(End::default(), bytes, take)
}

/// As [`fold`], of what follows where a journal ended before.
///
/// # Errors
/// As [`fold`].
pub fn fold_on<T: DeserializeOwned>(
    mut end: End,
    following: &[u8],
    mut take: impl FnMut(T) -> Result<()>,
) -> Result<End> {
    let mut rest = following;
    while let Some(at) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..at];
        let number = end.records + 1;
        let damaged = |what: String| Error::new(codes::JOURNAL_DAMAGED, format!("line {number}: {what}"));
        let text = std::str::from_utf8(line).map_err(|_| damaged("it isn't text".to_owned()))?;
        let mut parts = text.splitn(3, ' ');
        let (said, sum, json) = (parts.next(), parts.next(), parts.next().unwrap_or_default());
        let next = End { records: number, bytes: end.bytes + line.len() as u64 + 1, sum: end.sum_with(json) };
        if said != Some(number.to_string().as_str()) || sum != Some(format!("{:016x}", next.sum).as_str()) {
            return Err(damaged("its number or its checksum is wrong".to_owned()));
        }
        take(serde_json::from_str(json).map_err(|e| damaged(e.to_string()))?)?;
        end = next;
        rest = &rest[at + 1..];
    }
    Ok(end)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{ProptestConfig, any, prop, prop_assert, prop_assert_eq, proptest};

    use super::*;

    fn written(records: &[String]) -> Vec<u8> {
        let (mut end, mut text) = (End::default(), String::new());
        for record in records {
            let (line, after) = end.line(record).expect("a string has a form");
            text += &line;
            end = after;
        }
        text.into_bytes()
    }

    #[test]
    fn an_unfinished_line_is_dropped_and_the_next_goes_in_its_place() {
        let mut bytes = written(&["one".into(), "two".into()]);
        let whole = bytes.len();
        bytes.extend_from_slice(b"3 00112233445566");
        let read: Read<String> = read(&bytes).expect("a cut tail is no damage");
        assert_eq!((read.records.len(), read.end.bytes), (2, whole as u64));
        let (line, _) = read.end.line(&"three").expect("a line");
        bytes.truncate(whole);
        bytes.extend_from_slice(line.as_bytes());
        assert_eq!(bytes, written(&["one".into(), "two".into(), "three".into()]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn what_is_written_is_read(records in prop::collection::vec(any::<String>(), 0..20)) {
            let bytes = written(&records);
            let read: Read<String> = read(&bytes).expect("reads");
            prop_assert_eq!(read.end.bytes, bytes.len() as u64);
            prop_assert_eq!(read.records, records);
        }

        /// Wherever a journal is cut, what is left are its first records.
        #[test]
        fn a_cut_journal_has_its_first_records(records in prop::collection::vec("[a-z]{0,9}", 1..12), at in any::<prop::sample::Index>()) {
            let bytes = written(&records);
            let cut = &bytes[..at.index(bytes.len() + 1)];
            let read: Read<String> = read(cut).expect("a cut tail is no damage");
            prop_assert_eq!(&records[..read.records.len()], &read.records[..]);
        }

        /// A changed byte, or a line taken away from before the last, is damage or cuts off no more than the last record.
        #[test]
        fn a_changed_byte_is_never_believed(
            records in prop::collection::vec("[a-z]{0,9}", 2..12), at in any::<prop::sample::Index>(), flip in 1u8..=255,
        ) {
            let mut bytes = written(&records);
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            if let Ok(read) = read::<String>(&bytes) {
                prop_assert!(at + 1 == bytes.len(), "only the last line's end may be lost");
                prop_assert_eq!(&records[..records.len() - 1], &read.records[..]);
            }
        }
    }

    #[test]
    fn a_missing_line_is_damage() {
        let bytes = written(&["one".into(), "two".into(), "three".into()]);
        let text = String::from_utf8(bytes).expect("text");
        let lines: Vec<&str> = text.lines().collect();
        for kept in [vec![0, 2], vec![1, 2], vec![1, 0, 2], vec![0, 0, 1]] {
            let text: String = kept.iter().map(|&i| format!("{}\n", lines[i])).collect();
            assert!(read::<String>(text.as_bytes()).is_err(), "{kept:?}");
        }
    }
}
