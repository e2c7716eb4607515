//! The files of a new repository and of a new strategy, from the templates in `shell/templates`.

use magellan::bar::{Date, Symbol, Timeframe};
use magellan::deployed::{unit_file, unit_name};
use magellan::error::{Error, Result};
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, context};

use crate::{codes, unit};

/// A strategy to be written.
#[derive(Debug)]
pub(super) struct NewStrategy<'a> {
    /// Its name, which [`check_name`] let pass.
    pub(super) name: &'a str,
    pub(super) timeframe: Timeframe,
    pub(super) symbols: &'a [Symbol],
    /// The period that its criteria are about.
    pub(super) first: Date,
    pub(super) last: Date,
}

/// A file: its path and its text.
pub(super) type File = (String, String);

const CODE: &str = include_str!("../../templates/strategy/strategy.rs.jinja");
const CONFIG: &str = include_str!("../../templates/strategy/config.json.jinja");
const UNIT: &str = include_str!("../../templates/strategy/unit.service.jinja");

/// Longest name of a strategy.
const LONGEST_NAME: usize = 40;
/// Words that a module can't have as its name, and files and folders that are there already.
const RESERVED: &str = "abstract as async await become box break const continue crate do dyn else enum environments \
    extern false final fn for gen if impl in let lib loop macro magellan main match mod move mut override priv pub ref \
    return schemars self serde serde_json static std struct super trait true try type typeof unsafe unsized use virtual where while yield";

/// Whether a strategy can have this name.
pub(super) fn check_name(name: &str) -> Result<()> {
    let wrong = |why: &str| {
        let suggestion: String = name.to_ascii_lowercase().replace(['-', ' ', '.'], "_");
        let help = match suggestion != name && why_not(&suggestion).is_none() {
            true => format!("write {suggestion}"),
            false => "write a name such as gap_fade".to_owned(),
        };
        Error::new(codes::BAD_ARGUMENT, format!("{}: {why}", magellan::error::quoted(name))).help(help)
    };
    why_not(name).map_or(Ok(()), |why| Err(wrong(&why)))
}

/// Why a strategy can't have this name.
fn why_not(name: &str) -> Option<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(plain) {
        return Some("a strategy's name is a letter and then letters, digits and _, all in lower case".to_owned());
    }
    if name.ends_with('_') || name.contains("__") {
        return Some("a strategy's name has no _ at its end and no two in a row".to_owned());
    }
    if name.len() > LONGEST_NAME {
        return Some(format!("a strategy's name has at most {LONGEST_NAME} letters"));
    }
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    if RESERVED.split_whitespace().any(|word| word == name) {
        return Some("this is a word of Rust or of the project's layout".to_owned());
    }
    // `Order` can't be both an order and a strategy.
    let own = type_name(name);
    CODE.split(|c| !is_word(c))
        .any(|word| word == own)
        .then(|| format!("the code of strategies uses `{own}` otherwise"))
}

/// The name of its type: `GapFade` of gap_fade.
pub(super) fn type_name(name: &str) -> String {
    let capital = |part: &str| part[..1].to_ascii_uppercase() + &part[1..];
    name.split('_').filter(|part| !part.is_empty()).map(capital).collect()
}

/// Renders a template. What it names and doesn't get is an error.
fn render(template: &str, context: minijinja::Value) -> Result<String> {
    let fault = |e: minijinja::Error| Error::new(codes::CANNOT_WRITE, format!("a template can't be rendered: {e}"));
    let mut environment = Environment::new();
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build().map_err(fault)?;
    environment.set_syntax(syntax);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.render_str(template, context).map_err(fault)
}

/// The words that a strategy's files and the repository's share.
fn words(new: &NewStrategy<'_>) -> minijinja::Value {
    let NewStrategy { name, timeframe, symbols, first, last } = *new;
    let title = name.replace('_', " ");
    let dollars = 100_000 / symbols.len().max(1);
    context! {
        name,
        title => title[..1].to_ascii_uppercase() + &title[1..],
        type_name => type_name(name),
        account => name.to_ascii_uppercase(),
        unit => unit_name(name),
        timeframe => timeframe.name(),
        timeframe_variant => format!("{timeframe:?}"),
        daily => timeframe == Timeframe::Day,
        equity_rows => if timeframe < Timeframe::Hour { "Sessions" } else { "Bars" },
        symbols => format!("[{}]", symbols.iter().map(|s| format!("\"{s}\"")).collect::<Vec<_>>().join(", ")),
        count => symbols.len(),
        position => format!("{dollars}.0"),
        first => first.to_string(),
        last => last.to_string(),
        period => format!("{}-{}", first.civil().year(), last.civil().year()),
        user => unit::USER,
        root => unit::ROOT,
        state => unit::STATE,
    }
}

/// The code of a strategy.
pub(super) fn code(new: &NewStrategy<'_>) -> Result<String> {
    render(CODE, words(new))
}

/// What `deployed` gets, by paths below it: config and unit.
pub(super) fn deployed(new: &NewStrategy<'_>) -> Result<Vec<File>> {
    let name = new.name;
    Ok(vec![
        (format!("{name}/config.json"), render(CONFIG, words(new))?),
        (format!("{name}/{}", unit_file(name)), render(UNIT, words(new))?),
    ])
}

/// What a new repository says of itself.
#[derive(Debug)]
pub(super) struct Repository<'a> {
    pub(super) title: &'a str,
    /// The lines of `[dependencies]` that name the engine.
    pub(super) engine: &'a str,
    /// The engine in a sentence.
    pub(super) described: &'a str,
    /// Whether the engine is a folder of this machine.
    pub(super) is_path: bool,
}

const WORKSPACE: &str = include_str!("../../../Cargo.toml");
const WORKFLOW: &str = include_str!("../../../.github/workflows/deploy-strategies.yml");
const MANIFEST: &str = include_str!("../../templates/repository/Cargo.toml.jinja");

/// Files that are as the engine's own, by their paths.
const SHARED: [(&str, &str); 5] = [
    (".github/workflows/deploy-strategies.yml", WORKFLOW),
    ("deployed/policy.toml", include_str!("../../templates/repository/policy.toml.jinja")),
    ("clippy.toml", include_str!("../../../deployable_strategies/clippy.toml")),
    ("rust-toolchain.toml", include_str!("../../../rust-toolchain.toml")),
    ("rustfmt.toml", include_str!("../../../rustfmt.toml")),
];

/// Files that speak of the repository and its first strategy, by their paths.
const OWN: [(&str, &str); 6] = [
    (".gitignore", include_str!("../../templates/repository/gitignore.jinja")),
    ("Cargo.toml", MANIFEST),
    ("README.md", include_str!("../../templates/repository/README.md.jinja")),
    ("scripts/check", include_str!("../../templates/repository/check.jinja")),
    ("src/lib.rs", include_str!("../../templates/repository/lib.rs.jinja")),
    ("src/main.rs", include_str!("../../templates/repository/main.rs.jinja")),
];

const ENVIRONMENT: &str = include_str!("../../templates/repository/environment.toml.jinja");

/// The files of a new repository with one strategy, by their paths in it.
pub(super) fn repository(repository: &Repository<'_>, first: &NewStrategy<'_>) -> Result<Vec<File>> {
    let Repository { title, engine, described, is_path } = *repository;
    let profiles = WORKSPACE.find("[profile.").map_or("", |at| &WORKSPACE[at..]);
    let words = words(first);
    let own = context! {
        title, engine, described, is_path, profiles,
        schemars => version_of("schemars"), serde => version_of("serde"), serde_json => version_of("serde_json"),
        ..words.clone()
    };
    let mut files: Vec<File> = SHARED.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
    for (path, template) in OWN {
        files.push((path.to_owned(), render(template, own.clone())?));
    }
    for kind in ["staging", "production"] {
        let text = render(ENVIRONMENT, context! { kind, ..words.clone() })?;
        files.push((format!("deployed/environments/{kind}.toml"), text));
    }
    files.push((format!("src/{}.rs", first.name), code(first)?));
    files.extend(deployed(first)?.into_iter().map(|(path, text)| (format!("deployed/{path}"), text)));
    Ok(files)
}

/// The version of a dependency that the engine asks for, so that types of both are the same.
fn version_of(dependency: &str) -> String {
    let workspace: toml::Table = toml::from_str(WORKSPACE).unwrap_or_default();
    let named = || {
        let of = workspace.get("workspace")?.get("dependencies")?.get(dependency)?;
        of.as_str().or_else(|| of.get("version")?.as_str()).map(str::to_owned)
    };
    named().unwrap_or_else(|| "*".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_no_module_or_unit_can_have_are_refused() {
        for good in ["gap_fade", "a", "rsi2", "x1_y2", "momentum"] {
            assert!(check_name(good).is_ok(), "{good}");
        }
        let long = "a".repeat(41);
        for bad in [
            "",
            "1st",
            "_a",
            "a_",
            "a__b",
            "Gap",
            "gap-fade",
            "gap fade",
            "größe",
            "a/b",
            "../a",
            "a.b",
            "fn",
            "self",
            "lib",
            "main",
            "environments",
            "order",
            "strategy",
            "config",
            "value",
            "magellan",
            "std",
            "serde",
            "option",
            &long,
        ] {
            let err = check_name(bad).expect_err(bad);
            assert_eq!(err.code(), codes::BAD_ARGUMENT, "{bad}");
        }
        assert_eq!(check_name("Gap-Fade").expect_err("refused").suggestion(), "write gap_fade");
    }

    #[test]
    fn every_version_that_the_engine_asks_for_is_found() {
        assert!(["schemars", "serde", "serde_json"].map(version_of).iter().all(|version| version != "*"));
    }
}
