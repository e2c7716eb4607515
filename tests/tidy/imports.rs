//! Which file imports which, over all crates of the project.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::path::{Path, PathBuf};

use super::source::{Segments, Source};

/// A crate of the project.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Crate {
    /// As paths name it.
    pub(crate) name: &'static str,
    /// The file that declares its modules.
    pub(crate) root: &'static str,
    /// The crates of the project that it may import from.
    pub(crate) may_use: &'static [&'static str],
}

/// A file's imports: the file that each leads to, with one of the paths that do.
type Targets = BTreeMap<PathBuf, String>;

/// The files of some crates and what each imports. Paths are relative to the project's root.
#[derive(Debug, Default)]
pub(crate) struct Imports {
    pub(crate) sources: BTreeMap<PathBuf, Source>,
    targets: BTreeMap<PathBuf, Targets>,
    /// The file of each module. A module with a body stands in the file that declares it.
    modules: BTreeMap<Segments, PathBuf>,
    /// The file of each exported macro, by the path that names it.
    macros: BTreeMap<Segments, PathBuf>,
}

impl Imports {
    /// Reads `crates` below `base`, each from its root file on.
    pub(crate) fn read(base: &Path, crates: &[Crate]) -> Self {
        let mut imports = Self::default();
        for one in crates {
            imports.read_module(base, &[one.name.to_owned()], Path::new(one.root));
        }
        let names = crates.iter().map(|one| one.name).collect();
        imports.targets = imports.sources.iter().map(|(f, s)| (f.clone(), imports.targets_of(f, s, &names))).collect();
        imports
    }

    fn read_module(&mut self, base: &Path, module: &[String], file: &Path) {
        let text = fs::read_to_string(base.join(file)).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let source = Source::parse(&text, module).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        self.modules.insert(module.to_vec(), file.to_owned());
        self.macros.extend(source.macros.iter().map(|name| (vec![module[0].clone(), name.clone()], file.to_owned())));
        for child in &source.children {
            if child.is_inline {
                self.modules.insert(child.module.clone(), file.to_owned());
            } else {
                self.read_module(base, &child.module, &file_of(base, file, &child.module));
            }
        }
        self.sources.insert(file.to_owned(), source);
    }

    fn targets_of(&self, file: &Path, source: &Source, crates: &BTreeSet<&str>) -> Targets {
        let paths = source.absolute_paths(crates).into_iter();
        let targets = paths.filter_map(|path| Some((self.holder(&path)?.clone(), path.join("::"))));
        targets.filter(|(target, _)| target != file).collect()
    }

    /// The file that holds what an absolute path names.
    fn holder(&self, path: &[String]) -> Option<&PathBuf> {
        let module = || (1..=path.len()).rev().find_map(|length| self.modules.get(&path[..length]));
        self.macros.get(path).or_else(module)
    }

    /// How many imports there are.
    pub(crate) fn count(&self) -> usize {
        self.targets.values().map(BTreeMap::len).sum()
    }

    /// The shortest circle through each file that is on one; each circle once.
    pub(crate) fn circles(&self) -> Vec<String> {
        let mut seen = BTreeSet::new();
        let circles = self.targets.keys().filter_map(|file| self.circle_through(file));
        let new = circles.filter(|circle| seen.insert(circle.iter().copied().collect::<BTreeSet<_>>()));
        new.map(|circle| self.describe(&circle)).collect()
    }

    fn circle_through<'a>(&'a self, start: &'a PathBuf) -> Option<Vec<&'a PathBuf>> {
        let mut importer: BTreeMap<&PathBuf, &PathBuf> = BTreeMap::new();
        let mut next = VecDeque::from([start]);
        while let Some(file) = next.pop_front() {
            for target in self.targets[file].keys() {
                if importer.insert(target, importer.get(target).copied().unwrap_or(file)).is_none() {
                    next.push_back(target);
                }
            }
            if let Some(last) = importer.get(start) {
                let before = |file: &&'a PathBuf| Some(importer[*file]).filter(|_| *file != start);
                let mut circle: Vec<_> = std::iter::successors(Some(*last), before).collect();
                circle.reverse();
                return Some(circle);
            }
        }
        None
    }

    /// `a.rs imports crate::b, b.rs imports crate::a`
    fn describe(&self, circle: &[&PathBuf]) -> String {
        let behind = circle.iter().cycle().skip(1);
        let parts = circle.iter().zip(behind).map(|(a, b)| format!("{} imports {}", a.display(), self.targets[*a][*b]));
        parts.collect::<Vec<_>>().join(", ")
    }

    /// Imports from crates that `one` may not use.
    pub(crate) fn forbidden(&self, one: &Crate) -> Vec<String> {
        let may_use = |path: &str| {
            let name = path.split("::").next().unwrap_or_default();
            name == one.name || one.may_use.contains(&name)
        };
        self.of(one).filter(|(_, path)| !may_use(path)).map(|(f, p)| format!("{} imports {p}", f.display())).collect()
    }

    /// Imports from modules that the root of `one` declares later than the one that imports them.
    pub(crate) fn out_of_order(&self, one: &Crate) -> Vec<String> {
        let declared: Vec<&String> = self.sources[Path::new(one.root)].children.iter().map(|c| &c.module[1]).collect();
        let place = |module: &str| declared.iter().position(|name| *name == module);
        let module_of = |file: &Path| self.modules.iter().find(|(_, f)| *f == file).and_then(|(m, _)| m.get(1));
        let later = |(file, path): &(&PathBuf, &String)| {
            let (own, name) = (module_of(file).and_then(|m| place(m)), path.split("::").nth(1).and_then(place));
            path.split("::").next() == Some(one.name) && own.zip(name).is_some_and(|(own, name)| own < name)
        };
        self.of(one).filter(later).map(|(f, p)| format!("{} imports {p}", f.display())).collect()
    }

    /// The files of a crate with each of their imports.
    fn of(&self, one: &Crate) -> impl Iterator<Item = (&PathBuf, &String)> {
        let files = self.modules.iter().filter(|(module, _)| module[0] == one.name).map(|(_, file)| file);
        let files: BTreeSet<&PathBuf> = files.collect();
        files.into_iter().flat_map(|file| self.targets[file].values().map(move |path| (file, path)))
    }
}

/// The file of a module that `parent` declares.
fn file_of(base: &Path, parent: &Path, module: &[String]) -> PathBuf {
    let name = &module[module.len() - 1];
    let is_folder = ["lib.rs", "main.rs", "mod.rs"].iter().any(|name| parent.ends_with(name));
    let folder = if is_folder { parent.parent().unwrap_or(parent).to_owned() } else { parent.with_extension("") };
    let file = folder.join(format!("{name}.rs"));
    if base.join(&file).is_file() { file } else { folder.join(name).join("mod.rs") }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CRATES: [Crate; 2] = [
        Crate { name: "core", root: "src/lib.rs", may_use: &[] },
        Crate { name: "shell", root: "shell/src/lib.rs", may_use: &["core"] },
    ];

    /// The imports of a project of these files, beside the roots of its two crates.
    fn imports(files: &[(&str, &str)]) -> Imports {
        let place = tempfile::tempdir().expect("a folder");
        let roots = [("src/lib.rs", "pub mod a; pub mod b; pub mod room;"), ("shell/src/lib.rs", "pub mod c;")];
        let empty = ["src/a.rs", "src/b.rs", "src/room/mod.rs", "shell/src/c.rs"].map(|file| (file, ""));
        for (file, text) in roots.iter().chain(&empty).chain(files) {
            let path = place.path().join(file);
            fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            fs::write(path, text).expect("written");
        }
        Imports::read(place.path(), &CRATES)
    }

    fn circles(files: &[(&str, &str)]) -> Vec<String> {
        imports(files).circles()
    }

    #[test]
    fn without_a_circle_none_is_found() {
        let files = [
            ("src/a.rs", "pub struct A; #[cfg(test)] use crate::b::B; #[cfg(test)] mod tests { use crate::b::B; }"),
            ("src/b.rs", "// crate::room\nuse crate::a::A; const TEXT: &str = \"crate::room::Door\";"),
            ("src/room/mod.rs", "mod door; mod floor; pub use door::Door; use floor::Floor;"),
            ("src/room/door.rs", "use super::floor::Floor; pub struct Door;"),
            ("src/room/floor.rs", "use crate::{a::{self, A}, b::*};"),
            ("shell/src/c.rs", "use core::a::A; fn f(a: core::b::B) -> impl Sized + use<> { core::room::Door }"),
        ];
        let found = imports(&files);
        assert_eq!(found.circles(), [""; 0]);
        assert_eq!(found.count(), 9, "{:?}", found.targets);
        assert!(CRATES.iter().all(|one| found.forbidden(one).is_empty() && found.out_of_order(one).is_empty()));
    }

    #[test]
    fn a_circle_between_two_files_is_named() {
        let found = circles(&[("src/a.rs", "use crate::b::B;"), ("src/b.rs", "use super::a::{A, Z};")]);
        assert_eq!(found, ["src/a.rs imports core::b::B, src/b.rs imports core::a::Z"]);
    }

    #[test]
    fn a_circle_inside_a_folder_is_found() {
        let child_to_parent =
            [("src/room/mod.rs", "mod door; use door::Door; pub struct Key;"), ("src/room/door.rs", "use super::Key;")];
        assert_eq!(
            circles(&child_to_parent),
            ["src/room/door.rs imports core::room::Key, src/room/mod.rs imports core::room::door::Door"]
        );
        let siblings = [
            ("src/room/mod.rs", "mod door; mod floor; mod wall;"),
            ("src/room/door.rs", "use super::floor::Floor;"),
            ("src/room/floor.rs", "use super::wall::Wall;"),
            ("src/room/wall.rs", "use crate::room::door::Door;"),
        ];
        assert_eq!(circles(&siblings).len(), 1);
    }

    #[test]
    fn a_circle_between_crates_is_found_and_so_is_each_forbidden_import() {
        let files = [("src/a.rs", "use shell::c::C;"), ("shell/src/c.rs", "use core::a::A;")];
        let found = imports(&files);
        assert_eq!(found.circles().len(), 1);
        assert_eq!(found.forbidden(&CRATES[0]), ["src/a.rs imports shell::c::C"]);
        assert_eq!(found.forbidden(&CRATES[1]), [""; 0]);
    }

    #[test]
    fn a_circle_by_paths_in_the_code_is_found() {
        for in_the_code in [
            "fn f() -> crate::b::B { B }",
            "fn f(b: &mut super::b::B) {}",
            "fn f() { println!(\"{}\", crate::b::f()); }",
            "use crate::room as r; use r as q; fn f() { q::door::open() }",
            "mod inner { fn f() { super::super::b::f() } }",
            "impl crate::b::Trait for A {}",
            "fn f() -> Vec<crate::b::B> { <crate::b::B as Default>::default() }",
            "macro_rules! m { () => { $crate::b::f() } }",
        ] {
            let files = [
                ("src/a.rs", in_the_code),
                ("src/b.rs", "use crate::a::A;"),
                ("src/room/mod.rs", "pub mod door;"),
                ("src/room/door.rs", "use crate::a;"),
            ];
            assert_eq!(circles(&files).len(), 1, "{in_the_code}");
        }
    }

    #[test]
    fn an_exported_macro_stands_where_it_is_written() {
        let files = [
            ("src/lib.rs", "pub mod a; pub mod b; pub mod room; pub use b::B;"),
            ("src/a.rs", "#[macro_export] macro_rules! codes { () => {}; }"),
            ("src/b.rs", "crate::codes! {}"),
        ];
        assert_eq!(circles(&files), [""; 0]);
    }

    #[test]
    fn an_import_from_a_later_module_is_out_of_order() {
        let files = [("src/a.rs", "use crate::room::Door;"), ("src/b.rs", "use crate::a::A;")];
        assert_eq!(imports(&files).out_of_order(&CRATES[0]), ["src/a.rs imports core::room::Door"]);
    }
}
