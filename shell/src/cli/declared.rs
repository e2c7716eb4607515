//! Strategies that configs declare: they are known like those in code.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use magellan::declared::{declared_below, declared_in};
use magellan::registry::AnyStrategy;

use super::options::nearest_deployed;

/// Those that a command line may mean: of the folder `deployed`, of a config or a file of rules that is named, and of the
/// release that this program belongs to.
pub(super) fn strategies(words: &[OsString]) -> Vec<&'static dyn AnyStrategy> {
    let named = |option: &str| {
        words.iter().enumerate().find_map(|(i, word)| {
            let word = word.to_str()?;
            match word.strip_prefix(option)? {
                "" => words.get(i + 1).map(PathBuf::from),
                rest => rest.strip_prefix('=').map(PathBuf::from),
            }
        })
    };
    let mut found: Vec<&'static dyn AnyStrategy> = Vec::new();
    found.extend(["--config", "--rules"].into_iter().filter_map(|option| declared_in(&named(option)?)));
    let own = std::env::current_exe().ok().and_then(|program| Some(program.parent()?.join("deployed")));
    let folders = [named("--deployed").or_else(nearest_deployed), own.filter(|folder| folder.is_dir())];
    found.extend(folders.iter().flatten().flat_map(|folder: &PathBuf| declared_below(Path::new(folder))));
    found
}
