//! `magellan explain`

use super::args::Explain;
use super::print;
use crate::error::{Code, Error, Result};
use crate::finding::nearest;
use crate::report::errors;

pub(super) fn run(options: &Explain) -> Result<u8> {
    let text = match &options.code {
        _ if options.markdown => errors::reference(),
        None => Code::ALL.iter().map(|&code| errors::entry(code)).collect(),
        Some(slug) => errors::entry(find(slug)?),
    };
    print(&text)?;
    Ok(0)
}

fn find(slug: &str) -> Result<Code> {
    Code::ALL.iter().copied().find(|code| code.slug() == slug).ok_or_else(|| {
        let near = nearest(slug, Code::ALL.iter().map(|code| code.slug()));
        let help = near
            .map_or_else(|| "`magellan explain` lists all codes".to_owned(), |near| format!("did you mean {near}?"));
        Error::new(Code::BadArgument, format!("there is no error code `{slug}`")).help(help)
    })
}
