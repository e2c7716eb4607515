//! What every way to the machine does.

use magellan::error::{Error, Result};

use crate::codes;
use crate::deploy::host::{Answer, Call, Page};

/// No answer has more pages.
const MOST_PAGES: usize = 100;

/// A way to the machine.
pub trait Transport {
    /// Runs the script; what it printed. Meanwhile `waiting` is called every few seconds.
    ///
    /// # Errors
    /// Deploy error if nothing came back: whether the script ran is then unknown.
    fn output(&self, call: &Call, waiting: &dyn Fn()) -> Result<String>;

    /// For people: the way and the machine.
    fn name(&self) -> String;
}

impl dyn Transport + '_ {
    /// Runs the script and reads its answer, which may be that it failed.
    ///
    /// # Errors
    /// As [`Transport::output`]; deploy error, too, if it is no answer, or not a whole one.
    pub fn call(&self, call: &Call) -> Result<Answer> {
        self.call_while(call, &|| {})
    }

    /// The same, and all pages of it; meanwhile `waiting` is called.
    ///
    /// # Errors
    /// As for `call`.
    pub fn call_while(&self, call: &Call, waiting: &dyn Fn()) -> Result<Answer> {
        let incomplete = |what: &str| Error::new(codes::HOST_SILENT, format!("the host's answer isn't whole: {what}"));
        let Page { failed, part, mut chunk } = Page::parse(&self.output(call, waiting)?)?;
        let Some((first, pages, id)) = part else { return Answer::of(failed, "") };
        if first != 1 || pages > MOST_PAGES {
            return Err(incomplete(&format!("page {first} of {pages}")));
        }
        for number in 2..=pages {
            let page = Page::parse(&self.output(&Call::page(&id, number), waiting)?)?;
            match page.part {
                Some((got, of, whose)) if (got, of, &whose) == (number, pages, &id) => chunk += &page.chunk,
                _ => return Err(incomplete(&format!("page {number} of {pages} isn't there"))),
            }
        }
        Answer::of(failed, &chunk)
    }
}

#[cfg(test)]
mod tests {
    use base64::prelude::{BASE64_STANDARD, Engine as _};

    use super::*;

    /// What a script says that has these facts, in pages of so many characters.
    struct Said {
        pages: Vec<String>,
    }

    impl Said {
        fn of(facts: &str, characters: usize) -> Self {
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
            std::io::Write::write_all(&mut gzip, facts.as_bytes()).expect("packed");
            let packed = BASE64_STANDARD.encode(gzip.finish().expect("packed"));
            let chunks: Vec<&[u8]> = packed.as_bytes().chunks(characters).collect();
            let page = |(i, chunk): (usize, &&[u8])| {
                let chunk = String::from_utf8_lossy(chunk).into_owned();
                format!("magellan-host 2 ok facts\nfacts {} {} x {chunk}\n", i + 1, chunks.len())
            };
            Self { pages: chunks.iter().enumerate().map(page).collect() }
        }
    }

    impl Transport for Said {
        fn output(&self, call: &Call, _: &dyn Fn()) -> Result<String> {
            let page = call.words().find_map(|word| word.strip_prefix("page=")?.parse::<usize>().ok());
            Ok(self.pages.get(page.unwrap_or(1) - 1).cloned().unwrap_or_default())
        }

        fn name(&self) -> String {
            "what a script says".to_owned()
        }
    }

    fn ask(said: &Said) -> Result<Answer> {
        (said as &dyn Transport).call(&Call::page("", 1))
    }

    #[test]
    fn an_answer_is_read_whole_or_not_at_all() {
        let facts = "now=5\nrelease=a\nrelease=b\nunit.x.log:b64=YQpi\n";
        for characters in [10_000, 7, 1] {
            let answer = ask(&Said::of(facts, characters)).expect("an answer");
            assert_eq!((answer.number("now"), answer.all("release").count()), (Some(5.0), 2));
            assert_eq!(answer.get("unit.x.log"), Some("a\nb"));
        }
        let mut torn = Said::of(facts, 20);
        torn.pages.swap_remove(1);
        assert_eq!(ask(&torn).map_err(|e| e.code()).err(), Some(codes::HOST_SILENT));
    }

    #[test]
    fn facts_without_end_are_no_answer() {
        let endless = Said::of(&"x".repeat(8 << 20), 1 << 20);
        assert_eq!(ask(&endless).map_err(|e| e.code()).err(), Some(codes::HOST_SILENT));
    }
}
