//! `magellan explain`

use clap::Args;
use magellan::error::{Code, Error, Result};
use magellan::finding::nearest;

use super::output::print;
use crate::codes;
use crate::report::errors;

#[derive(Args, Debug)]
pub(super) struct Explain {
    /// The code, e.g. record-changed; without it, all codes.
    pub(super) code: Option<String>,
    /// Print the whole reference as Markdown.
    #[arg(long, conflicts_with = "code")]
    pub(super) markdown: bool,
}

pub(super) fn run(options: &Explain) -> Result<u8> {
    let text = match &options.code {
        _ if options.markdown => errors::reference(),
        None => errors::all().map(errors::entry).collect(),
        Some(slug) => errors::entry(find(slug)?),
    };
    print(&text)?;
    Ok(0)
}

fn find(slug: &str) -> Result<Code> {
    errors::all().find(|code| code.slug() == slug).ok_or_else(|| {
        let near = nearest(slug, errors::all().map(Code::slug));
        let help = near
            .map_or_else(|| "`magellan explain` lists all codes".to_owned(), |near| format!("did you mean {near}?"));
        Error::new(codes::BAD_ARGUMENT, format!("there is no error code `{slug}`")).help(help)
    })
}
