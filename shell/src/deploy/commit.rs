//! The commit that a tree is of: the host gets it from the remote, so that it says what runs.
//!
//! Every file is held to the blob that the commit has of it. What `git status` says isn't enough: `assume-unchanged`,
//! `skip-worktree`, sparse checkouts and filters have it pass over files that differ.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use magellan::error::{Error, Result, quoted};

use crate::{codes, git};

/// A commit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// 40 hex digits.
    pub id: String,
    /// When it was made.
    pub made: Timestamp,
    folder: PathBuf,
    /// What it has of the folder: ids of blobs by path.
    blobs: BTreeMap<String, String>,
}

/// The mode of a plain file that nobody executes.
const PLAIN: &str = "100644";

impl Commit {
    /// The commit whose `deployed` this is, byte for byte.
    ///
    /// # Errors
    /// Refused if there is no commit, or at the first file that it doesn't hold as it lies here.
    pub fn of(deployed: &Path) -> Result<Self> {
        let (id, made) = head(deployed)?;
        let mut commit = Self { id, made, folder: deployed.to_owned(), blobs: BTreeMap::new() };
        commit.blobs = commit.listed()?;
        commit.check()?;
        Ok(commit)
    }

    /// The files of its tree, all of them plain.
    fn listed(&self) -> Result<BTreeMap<String, String>> {
        let listed = objects(&self.folder, &["ls-tree", "-r", "-z", &self.id, "--", "."])?;
        let listed = String::from_utf8_lossy(&listed);
        let mut blobs = BTreeMap::new();
        for entry in listed.split_terminator('\0') {
            let (about, path) = entry.split_once('\t').unwrap_or((entry, ""));
            let (mode, blob) = (about.split(' ').next(), about.rsplit(' ').next().unwrap_or_default());
            if mode != Some(PLAIN) {
                let help = "commit it as a plain file that nobody executes: nothing else is shipped";
                return Err(self.refused(path, &format!("is {} in the commit", kind(mode)), help));
            }
            blobs.insert(path.to_owned(), blob.to_owned());
        }
        Ok(blobs)
    }

    /// Holds every file of the folder to its blob, and every blob to its file.
    fn check(&self) -> Result<()> {
        let here = self.lying_here()?;
        let place = |path: &str| self.folder.join(path).display().to_string();
        if let Some(more) = here.iter().find(|path| !self.blobs.contains_key(*path)) {
            return Err(self.refused(more, "isn't in the commit", "commit and push it, or remove it"));
        }
        if let Some(missing) = self.blobs.keys().find(|path| !here.contains(path)) {
            let help = format!(
                "bring it back with `git checkout HEAD -- {}`, or commit and push that it is gone; a sparse checkout \
                 hides files: `git sparse-checkout disable`",
                place(missing)
            );
            return Err(self.refused(missing, "is in the commit and not here", &help));
        }
        let hashes = self.hashes(&here)?;
        let Some((path, _)) = here.iter().zip(&hashes).find(|(path, hash)| self.blobs[*path] != **hash) else {
            return Ok(());
        };
        let help = format!(
            "commit and push it, or undo the change; if `git status` shows none, something hides it from git: see \
             `git ls-files -v {0}` and `git check-attr --all {0}`",
            place(path)
        );
        Err(self.refused(path, "isn't as it was committed", &help))
    }

    /// Every file of the folder by its path, in order; only plain ones are let pass.
    fn lying_here(&self) -> Result<Vec<String>> {
        let (mut found, mut folders) = (Vec::new(), vec![self.folder.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).map_err(|e| Error::io(&folder, &e))? {
                let path = entry.map_err(|e| Error::io(&folder, &e))?.path();
                let metadata = path.symlink_metadata().map_err(|e| Error::io(&path, &e))?;
                let name = path.strip_prefix(&self.folder).unwrap_or(&path).to_string_lossy().into_owned();
                match why_not_plain(&name, &metadata) {
                    // Git's own, if the folder is a checkout.
                    _ if path.file_name().is_some_and(|name| name == ".git") => {}
                    Some((what, help)) => return Err(self.refused(&name, what, help)),
                    None if metadata.is_dir() => folders.push(path),
                    None => found.push(name),
                }
            }
        }
        found.sort();
        Ok(found)
    }

    /// The ids that blobs of these files would have, of their bytes as they are.
    fn hashes(&self, paths: &[String]) -> Result<Vec<String>> {
        // Whole paths: git takes others as lying in the checkout's top folder.
        let whole = self.folder.canonicalize().map_err(|e| Error::io(&self.folder, &e))?;
        let input: String = paths.iter().map(|path| format!("{}\n", whole.join(path).display())).collect();
        let arguments = ["hash-object", "--no-filters", "--stdin-paths"];
        let said = git::git_reading(&self.folder, &arguments, &input)?;
        let hashes: Vec<String> = String::from_utf8_lossy(&said).lines().map(str::to_owned).collect();
        match hashes.len() == paths.len() {
            true => Ok(hashes),
            false => Err(Error::new(codes::NOT_COMMITTED, "git didn't hash every file").at(self.folder.display())),
        }
    }

    fn refused(&self, path: &str, what: &str, help: &str) -> Error {
        let place = self.folder.join(path);
        Error::new(codes::NOT_COMMITTED, format!("{} {what}", quoted(path))).at(place.display()).help(help)
    }
}

/// Id and time of the commit that is checked out.
fn head(folder: &Path) -> Result<(String, Timestamp)> {
    let said = objects(folder, &["show", "--no-patch", "--no-show-signature", "--format=%H %ct", "HEAD"])?;
    let said = String::from_utf8_lossy(&said);
    let parsed = said
        .trim()
        .split_once(' ')
        .and_then(|(id, at)| Some((id.to_owned(), Timestamp::from_second(at.parse().ok()?).ok()?)));
    parsed.ok_or_else(|| Error::new(codes::NOT_COMMITTED, format!("git says `{}` of HEAD", said.trim())))
}

/// What a mode of a tree stands for.
fn kind(mode: Option<&str>) -> &'static str {
    match mode {
        Some("100755") => "executable",
        Some("120000") => "a symbolic link",
        Some("160000") => "a submodule",
        _ => "no plain file",
    }
}

/// Why a file wouldn't be shipped as it is, and what to do; a folder may be.
fn why_not_plain(name: &str, metadata: &std::fs::Metadata) -> Option<(&'static str, &'static str)> {
    use std::os::unix::fs::PermissionsExt;
    let (is_file, mode) = (metadata.is_file(), metadata.permissions().mode());
    match name {
        _ if metadata.is_symlink() => Some(("is a symbolic link", "put the file itself there, and commit it")),
        _ if !is_file && !metadata.is_dir() => Some(("is neither file nor folder", "remove it")),
        _ if is_file && mode & 0o111 != 0 => Some(("is executable", "take that away with `chmod a-x`")),
        _ if name.contains(['\n', '\r']) => Some(("has a line break in its name", "rename it")),
        _ => None,
    }
}

/// A file of an earlier commit below `deployed`, if git has it.
pub fn earlier(deployed: &Path, commit: &str, path: &str) -> Option<String> {
    let held = objects(deployed, &["cat-file", "blob", &format!("{commit}:./{path}")]).ok()?;
    Some(String::from_utf8_lossy(&held).into_owned())
}

/// What git says of objects as they were committed, whatever `git replace` puts in their place.
fn objects(folder: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    git::git(folder, &[&["--no-replace-objects"], arguments].concat())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::process::Command;

    /// A repository with a folder `deployed` that is committed.
    struct Repository(tempfile::TempDir);

    impl Repository {
        fn new() -> Self {
            let repository = Self(tempfile::tempdir().expect("a folder"));
            repository.git(&["init", "--quiet"]);
            for (path, text) in [("deployed/a/config.json", "{}\n"), ("deployed/policy.toml", "x = 1\n"), ("more", "")]
            {
                repository.write(path, text);
            }
            repository.commit();
            repository
        }

        fn at(&self, path: &str) -> PathBuf {
            self.0.path().join(path)
        }

        fn write(&self, path: &str, text: &str) {
            fs::create_dir_all(self.at(path).parent().expect("a folder")).expect("made");
            fs::write(self.at(path), text).expect("written");
        }

        fn commit(&self) {
            self.git(&["add", "--all"]);
            self.git(&["commit", "--quiet", "--message", "Change"]);
        }

        /// A git that knows no settings of this machine or its user.
        fn git(&self, arguments: &[&str]) -> String {
            let who = ["-c", "user.name=ada", "-c", "user.email=ada@example.org", "-c", "protocol.file.allow=always"];
            let mut command = Command::new("git");
            command.current_dir(self.0.path()).args(who).args(arguments);
            command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
            let output = command.output().expect("git runs");
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }

        fn of(&self) -> Result<Commit> {
            Commit::of(&self.at("deployed"))
        }

        /// What `git status` says, and the refusal.
        fn refused(&self) -> (String, String) {
            let err = self.of().expect_err("refused");
            assert_eq!(err.code(), codes::NOT_COMMITTED, "{err}");
            (self.git(&["status", "--porcelain", "--", "deployed"]), err.what().to_owned())
        }
    }

    const CONFIG: &str = "deployed/a/config.json";

    #[test]
    fn what_was_committed_is_the_commit() {
        let repository = Repository::new();
        repository.write("more", "of no concern");
        repository.write("untracked", "");
        let commit = repository.of().expect("committed");
        assert_eq!(commit.id, repository.git(&["rev-parse", "HEAD"]));
        assert_eq!(earlier(&repository.at("deployed"), &commit.id, "policy.toml").as_deref(), Some("x = 1\n"));
    }

    #[test]
    fn a_folder_that_is_a_checkout_of_its_own_is_one_too() {
        let repository = Repository::new();
        let commit = Commit::of(repository.0.path()).expect("committed");
        assert!(commit.blobs.contains_key(CONFIG), "{commit:?}");
    }

    #[test]
    fn an_edit_a_new_file_and_a_lost_one_are_found() {
        let repository = Repository::new();
        repository.write(CONFIG, "{ }\n");
        assert_eq!(repository.refused().1, "`a/config.json` isn't as it was committed");
        repository.git(&["add", CONFIG]);
        assert_eq!(repository.refused().1, "`a/config.json` isn't as it was committed");
        repository.commit();
        repository.write("deployed/b/config.json", "{}\n");
        assert_eq!(repository.refused().1, "`b/config.json` isn't in the commit");
        repository.commit();
        fs::remove_file(repository.at(CONFIG)).expect("removed");
        assert_eq!(repository.refused().1, "`a/config.json` is in the commit and not here");
    }

    #[test]
    fn an_ignored_file_is_found() {
        let repository = Repository::new();
        repository.write(".gitignore", "b/\n");
        repository.commit();
        repository.write("deployed/b/config.json", "{}\n");
        assert_eq!(repository.refused(), (String::new(), "`b/config.json` isn't in the commit".to_owned()));
    }

    #[test]
    fn an_edit_that_git_was_told_to_pass_over_is_found() {
        for flag in ["--assume-unchanged", "--skip-worktree"] {
            let repository = Repository::new();
            repository.git(&["update-index", flag, CONFIG]);
            repository.write(CONFIG, "{\"a\": 1}\n");
            let expected = (String::new(), "`a/config.json` isn't as it was committed".to_owned());
            assert_eq!(repository.refused(), expected, "{flag}");
        }
    }

    #[test]
    fn a_sparse_checkout_is_no_whole_folder() {
        let repository = Repository::new();
        repository.git(&["sparse-checkout", "set", "--no-cone", "/*", "!/deployed/a/"]);
        assert_eq!(repository.refused(), (String::new(), "`a/config.json` is in the commit and not here".to_owned()));
    }

    #[test]
    fn what_a_filter_made_of_a_file_is_found() {
        let repository = Repository::new();
        // What is committed has 1 where the checkout has 2.
        repository.git(&["config", "filter.swap.clean", "sed s/2/1/"]);
        repository.git(&["config", "filter.swap.smudge", "sed s/1/2/"]);
        repository.write(".gitattributes", "*.toml filter=swap\n");
        repository.write("deployed/policy.toml", "x = 2\n");
        repository.commit();
        assert_eq!(repository.git(&["show", "HEAD:deployed/policy.toml"]), "x = 1");
        let expected = (String::new(), "`policy.toml` isn't as it was committed".to_owned());
        assert_eq!(repository.refused(), expected);
    }

    #[test]
    fn line_endings_that_git_would_change_back_are_found() {
        let repository = Repository::new();
        repository.write(".gitattributes", "*.toml text eol=crlf\n");
        repository.commit();
        repository.write("deployed/policy.toml", "x = 1\r\n");
        assert_eq!(repository.git(&["diff", "HEAD"]), "");
        assert_eq!(repository.refused().1, "`policy.toml` isn't as it was committed");
    }

    #[test]
    fn an_object_that_git_replaces_is_not_the_commits() {
        let repository = Repository::new();
        let before = repository.git(&["rev-parse", "HEAD:deployed/policy.toml"]);
        let tree = repository.git(&["rev-parse", "HEAD^{tree}"]);
        repository.write("deployed/policy.toml", "x = 2\n");
        repository.commit();
        let other = repository.git(&["rev-parse", "HEAD^{tree}"]);
        repository.git(&["reset", "--quiet", "--soft", "HEAD~1"]);
        repository.git(&["replace", &tree, &other]);
        let expected = (String::new(), "`policy.toml` isn't as it was committed".to_owned());
        assert_eq!(repository.refused(), expected);
        assert_ne!(repository.git(&["rev-parse", "HEAD:deployed/policy.toml"]), before, "git was told otherwise");
    }

    #[test]
    fn only_plain_files_are_let_pass() {
        let repository = Repository::new();
        let config = repository.at(CONFIG);
        repository.write("more", "{}\n");
        fs::remove_file(&config).expect("removed");
        symlink(repository.at("more"), &config).expect("linked");
        assert_eq!(repository.refused().1, "`a/config.json` is a symbolic link");
        repository.commit();
        assert_eq!(repository.refused().1, "`a/config.json` is a symbolic link in the commit");
        fs::remove_file(&config).expect("removed");
        repository.write(CONFIG, "{}\n");
        fs::set_permissions(&config, PermissionsExt::from_mode(0o755)).expect("set");
        repository.commit();
        assert_eq!(repository.refused().1, "`a/config.json` is executable in the commit");
        fs::set_permissions(&config, PermissionsExt::from_mode(0o644)).expect("set");
        repository.commit();
        assert!(repository.of().is_ok());
        fs::set_permissions(&config, PermissionsExt::from_mode(0o755)).expect("set");
        repository.git(&["config", "core.fileMode", "false"]);
        assert_eq!(repository.refused(), (String::new(), "`a/config.json` is executable".to_owned()));
    }

    #[test]
    fn a_folder_behind_a_link_is_not_looked_into() {
        let repository = Repository::new();
        fs::rename(repository.at("deployed/a"), repository.at("elsewhere")).expect("moved");
        symlink(repository.at("elsewhere"), repository.at("deployed/a")).expect("linked");
        assert_eq!(repository.refused().1, "`a` is a symbolic link");
    }

    #[test]
    fn a_submodule_is_refused() {
        let (repository, other) = (Repository::new(), Repository::new());
        let from = other.0.path().to_string_lossy().into_owned();
        repository.git(&["submodule", "--quiet", "add", &from, "deployed/b"]);
        repository.commit();
        assert_eq!(repository.refused(), (String::new(), "`b` is a submodule in the commit".to_owned()));
    }
}
