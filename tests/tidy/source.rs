//! A Rust file without its comments and tests: its words, the modules it declares and the paths it names.

use std::collections::{BTreeMap, BTreeSet};

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// The segments of a path. The first one of a module's path is its crate.
pub(crate) type Segments = Vec<String>;

/// What one file says, tests left out.
#[derive(Debug, Default)]
pub(crate) struct Source {
    /// Its code without needless spaces, such as `Instant::now()` and `unsafe{`.
    pub(crate) code: String,
    /// The modules it declares, in this order.
    pub(crate) children: Vec<Child>,
    /// The macros it exports.
    pub(crate) macros: Vec<String>,
    /// Every path, with the module it is written in.
    paths: Vec<(Segments, Segments)>,
    /// What the names that `use` brings in stand for: by module and name, the path and the module it is written in.
    names: BTreeMap<(Segments, String), Segments>,
}

/// A declared module.
#[derive(Debug)]
pub(crate) struct Child {
    pub(crate) module: Segments,
    /// Whether its body stands in the file that declares it.
    pub(crate) is_inline: bool,
}

impl Source {
    /// Reads the text of `module`.
    pub(crate) fn parse(text: &str, module: &[String]) -> Result<Self, proc_macro2::LexError> {
        let mut source = Self::default();
        source.scan(text.parse()?, module);
        Ok(source)
    }

    /// Every path that starts in one of `crates`, from its crate on.
    pub(crate) fn absolute_paths(&self, crates: &BTreeSet<&str>) -> BTreeSet<Segments> {
        let known = |path: &Segments| crates.contains(path[0].as_str());
        self.paths.iter().map(|(module, path)| self.absolute(module, path, 3)).filter(known).collect()
    }

    /// `path` from its crate on, for which at most so many names are followed.
    fn absolute(&self, module: &[String], path: &[String], names: usize) -> Segments {
        let (first, rest) = (path[0].as_str(), &path[1..]);
        let child = [module, &path[..1]].concat();
        match first {
            "crate" => [&module[..1], rest].concat(),
            "self" => [module, rest].concat(),
            "super" if rest.first().is_some_and(|next| next == "super") => {
                self.absolute(&module[..module.len() - 1], rest, names)
            }
            "super" => [&module[..module.len() - 1], rest].concat(),
            _ if self.children.iter().any(|c| c.module == child) => [&child, rest].concat(),
            _ => match self.names.get(&(module.to_vec(), first.to_owned())) {
                Some(full) if names > 0 => [&self.absolute(module, full, names - 1)[..], rest].concat(),
                _ => path.to_vec(),
            },
        }
    }

    fn scan(&mut self, tokens: TokenStream, module: &[String]) {
        let tokens: Vec<TokenTree> = tokens.into_iter().collect();
        let mut exported = false;
        let mut i = 0;
        while i < tokens.len() {
            let rest = &tokens[i..];
            let taken = match rest {
                [hash, TokenTree::Group(attribute), ..] if is_punct(hash, '#') => {
                    let text = attribute.stream().to_string();
                    exported |= text == "macro_export";
                    if text == "cfg (test)" || text == "cfg(test)" { 2 + item_length(&rest[2..]) } else { 2 }
                }
                [keyword, TokenTree::Ident(name), next, ..] if is_ident(keyword, "mod") => {
                    self.declare(name.to_string(), next, module);
                    3
                }
                [keyword, bang, TokenTree::Ident(name), ..]
                    if is_ident(keyword, "macro_rules") && is_punct(bang, '!') =>
                {
                    if std::mem::take(&mut exported) {
                        self.macros.push(name.to_string());
                    }
                    3
                }
                // Not the `use<'a>` of a type.
                [keyword, next, ..] if is_ident(keyword, "use") && !is_punct(next, '<') => {
                    let length = rest.iter().position(|t| is_punct(t, ';')).unwrap_or(rest.len());
                    self.import(&rest[1..length], &[], module);
                    length
                }
                [TokenTree::Ident(_), ..] => self.path(rest, is_double_colon(&tokens[i.saturating_sub(2)..i]), module),
                [TokenTree::Group(group), ..] => {
                    self.group(group, module);
                    1
                }
                [TokenTree::Literal(_), ..] => {
                    self.write("0");
                    1
                }
                [other, ..] => {
                    self.write(&other.to_string());
                    1
                }
                [] => break,
            };
            i += taken;
        }
    }

    fn group(&mut self, group: &proc_macro2::Group, module: &[String]) {
        let (open, close) = match group.delimiter() {
            Delimiter::Brace => ("{", "}"),
            Delimiter::Parenthesis => ("(", ")"),
            Delimiter::Bracket => ("[", "]"),
            Delimiter::None => ("", ""),
        };
        self.write(open);
        self.scan(group.stream(), module);
        self.write(close);
    }

    fn declare(&mut self, name: String, next: &TokenTree, module: &[String]) {
        let child = [module, &[name]].concat();
        let is_inline = matches!(next, TokenTree::Group(_));
        self.children.push(Child { module: child.clone(), is_inline });
        if let TokenTree::Group(body) = next {
            self.group(body, &child);
        }
    }

    /// Takes a path, or a lone name, and returns how many tokens it has.
    fn path(&mut self, tokens: &[TokenTree], continues: bool, module: &[String]) -> usize {
        let (path, length) = segments(tokens);
        self.write(&path.join("::"));
        // What follows a type, as in `<T as Trait>::NAME`, is no path of its own.
        if path.len() > 1 && !continues {
            self.paths.push((module.to_vec(), path));
        }
        length
    }

    /// Takes the tree of a `use`.
    fn import(&mut self, tree: &[TokenTree], prefix: &[String], module: &[String]) {
        for branch in tree.split(|token| is_punct(token, ',')).filter(|branch| !branch.is_empty()) {
            let (path, length) = segments(branch);
            let mut full = [prefix, &path].concat();
            match &branch[length..] {
                [_, _, TokenTree::Group(inner)] => {
                    let inner: Vec<TokenTree> = inner.stream().into_iter().collect();
                    self.import(&inner, &full, module);
                }
                rest => {
                    if full.len() > 1 && full.last().is_some_and(|last| last == "self") {
                        full.pop();
                    }
                    let alias = rest.get(1).filter(|_| rest.first().is_some_and(|t| is_ident(t, "as")));
                    let name = alias.map(ToString::to_string).or_else(|| full.last().cloned()).unwrap_or_default();
                    self.write(&format!("use {};", full.join("::")));
                    self.names.insert((module.to_vec(), name), full.clone());
                    self.paths.push((module.to_vec(), full));
                }
            }
        }
    }

    /// Adds a word, with a space only where two would run into one.
    fn write(&mut self, word: &str) {
        let is_part = |c: char| c.is_alphanumeric() || c == '_';
        if self.code.ends_with(is_part) && word.starts_with(is_part) {
            self.code.push(' ');
        }
        self.code.push_str(word);
    }
}

/// The names at the front that `::` joins, and how many tokens they are.
fn segments(tokens: &[TokenTree]) -> (Segments, usize) {
    let (mut found, mut at) = (Vec::new(), 0);
    while let Some(TokenTree::Ident(name)) = tokens.get(at) {
        found.push(name.to_string());
        at += 1;
        let goes_on = matches!(tokens.get(at + 2), Some(TokenTree::Ident(_)));
        if !(goes_on && is_double_colon(&tokens[at..at + 2])) {
            break;
        }
        at += 2;
    }
    (found, at)
}

/// How many tokens an item or field has: up to its body, or its `;` or `,`.
fn item_length(tokens: &[TokenTree]) -> usize {
    let ends = |t: &TokenTree| match t {
        TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
        other => is_punct(other, ';') || is_punct(other, ','),
    };
    tokens.iter().position(ends).map_or(tokens.len(), |last| last + 1)
}

fn is_ident(token: &TokenTree, name: &str) -> bool {
    matches!(token, TokenTree::Ident(ident) if ident == name)
}

fn is_punct(token: &TokenTree, sign: char) -> bool {
    matches!(token, TokenTree::Punct(punct) if punct.as_char() == sign)
}

fn is_double_colon(tokens: &[TokenTree]) -> bool {
    matches!(tokens, [TokenTree::Punct(first), second]
        if first.as_char() == ':' && first.spacing() == Spacing::Joint && is_punct(second, ':'))
}
