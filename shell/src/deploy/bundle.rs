//! A release in one file: a `tar.zst` that is the same bytes whenever it is made of the same
//! tree, and whose SHA-256 is the release's name.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use magellan::deployed::{self, Deployed};
use magellan::disk::hash::{sha256_hex, sha256_of};
use magellan::disk::map::{self, Access};
use magellan::error::{Error, Result, quoted};
use magellan::finding::Severity;
use regex_lite::Regex;
use tar::{Archive, Builder, EntryType, Header};

use crate::codes;
use crate::release::{
    BINARY, CHECKSUMS, MANIFEST, Manifest, Shipped, ShippedFile, config_path, is_plain, short, strategy_digest,
    unit_path,
};
use crate::unit::Unit;

/// One line a unit: digest of its strategy, unit, its file.
pub const UNITS: &str = "units";
/// What all units share: what is started when one has failed, and each night.
const TEMPLATES: [(&str, &str); 3] = [
    ("magellan-failed@.service", include_str!("magellan-failed@.service")),
    ("magellan-parity@.service", include_str!("magellan-parity@.service")),
    ("magellan-parity@.timer", include_str!("magellan-parity@.timer")),
];
/// A tenth more bytes than level 9, in a quarter of its time.
const LEVEL: i32 = 3;
/// No release is larger once it is unpacked, bytes.
const LARGEST: u64 = 1 << 30;
/// No file but the binary is larger, bytes.
const LARGEST_TEXT: u64 = 1 << 20;
/// No release has more files.
const MOST_FILES: usize = 1_000;

/// A release as one file.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// SHA-256 of `bytes`.
    pub digest: String,
    /// The `tar.zst`.
    pub bytes: Vec<u8>,
    /// What it holds.
    pub manifest: Manifest,
    /// Bytes once it is unpacked.
    pub unpacked: u64,
}

/// What a bundle is made of.
pub struct Parts<'a> {
    /// The strategies.
    pub strategies: &'a [Deployed],
    /// The program that the units start.
    pub binary: &'a Path,
    /// The commit whose configs and units these are.
    pub commit: &'a str,
}

impl Bundle {
    /// Makes a bundle.
    ///
    /// # Errors
    /// Config error if a part can't be read; refused if one looks like a secret.
    pub fn build(parts: &Parts<'_>) -> Result<Self> {
        let mut files = BTreeMap::new();
        let text = |path: &Path| -> Result<Vec<u8>> {
            let bytes = map::bytes_up_to(path, 1 << 20)?.to_vec();
            no_secret(path, &bytes)?;
            Ok(bytes)
        };
        let binary = map::bytes(parts.binary, Access::Map)?;
        let binary_sha256 = sha256_hex(&binary);
        files.insert(BINARY.to_owned(), binary.to_vec());
        files.extend(TEMPLATES.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())));
        let mut strategies = BTreeMap::new();
        for one in parts.strategies {
            let (config, unit_file) = (text(&one.config)?, text(&one.unit())?);
            let unit = deployed::unit_name(&one.name);
            let (config_sha256, unit_sha256) = (sha256_hex(&config), sha256_hex(&unit_file));
            let digest = strategy_digest(&binary_sha256, &config_sha256, &unit_sha256);
            files.insert(config_path(&one.name), config);
            files.insert(unit_path(&one.name), unit_file);
            strategies.insert(one.name.clone(), Shipped { unit, digest, config_sha256 });
        }
        let shipped = |bytes: &Vec<u8>| ShippedFile { sha256: sha256_hex(bytes), size: bytes.len() as u64 };
        files.insert(UNITS.to_owned(), units_text(&strategies).into_bytes());
        let listed = files.iter().map(|(path, bytes)| (path.clone(), shipped(bytes))).collect();
        let manifest = Manifest::new(parts.commit, listed, strategies);
        files.insert(MANIFEST.to_owned(), manifest.text().into_bytes());
        files.insert(CHECKSUMS.to_owned(), manifest.checksums().into_bytes());
        let unpacked = files.values().map(|bytes| bytes.len() as u64).sum();
        let bytes = pack(&files).map_err(|e| Error::new(codes::IO, format!("can't pack the bundle: {e}")))?;
        Ok(Self { digest: sha256_hex(&bytes), bytes, manifest, unpacked })
    }
}

/// What a bundle was found to hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verified {
    /// SHA-256 of the bundle.
    pub digest: String,
    /// Its table of contents.
    pub manifest: Manifest,
    /// Bytes once it is unpacked.
    pub unpacked: u64,
    /// Its configs and units, by path.
    pub deployed: BTreeMap<String, Vec<u8>>,
}

impl Verified {
    /// Writes its configs and units below a folder, as `deployed/…`.
    ///
    /// # Errors
    /// Usage error if they can't be written.
    pub fn write_deployed(&self, folder: &Path) -> Result<()> {
        for (path, bytes) in &self.deployed {
            let file = folder.join(path);
            let made = file.parent().map_or(Ok(()), std::fs::create_dir_all);
            made.and_then(|()| std::fs::write(&file, bytes)).map_err(|e| Error::io(&file, &e))?;
        }
        Ok(())
    }
}

/// What was read of one file of a bundle.
struct Entry {
    sha256: String,
    size: u64,
    mode: u32,
    /// Its bytes, but for those of the binary.
    bytes: Vec<u8>,
}

/// Reads a bundle once, in little memory whatever it holds, and holds it to its manifest and to all that a host demands
/// of a release.
///
/// # Errors
/// Refused, naming what differs.
pub fn verify(bundle: &Path) -> Result<Verified> {
    let damaged = |what: String| Error::new(codes::BUNDLE_DAMAGED, what);
    let file = map::bytes(bundle, Access::Map)?;
    let entries = entries(&file)?;
    let bytes = |path: &str| entries.get(path).map(|entry| &entry.bytes[..]);
    let text = bytes(MANIFEST).ok_or_else(|| damaged(format!("it has no {MANIFEST}")))?;
    let manifest = Manifest::parse(text)?;
    if manifest.text().as_bytes() != text {
        return Err(damaged(format!("{MANIFEST} isn't as it was written")));
    }
    for (path, shipped) in &manifest.files {
        let entry = entries.get(path).ok_or_else(|| damaged(format!("{path} is missing")))?;
        if (&entry.sha256, entry.size) != (&shipped.sha256, shipped.size) {
            return Err(damaged(format!("the bytes of {path} aren't those of the manifest")));
        }
    }
    let known: BTreeSet<&str> = manifest.files.keys().map(String::as_str).chain([MANIFEST, CHECKSUMS]).collect();
    if let Some(more) = entries.keys().find(|path| !known.contains(path.as_str())) {
        return Err(damaged(format!("{more} isn't in the manifest")));
    }
    let same = |path: &str, text: String| bytes(path).is_some_and(|bytes| bytes == text.as_bytes());
    if !same(CHECKSUMS, manifest.checksums()) || !same(UNITS, units_text(&manifest.strategies)) {
        return Err(damaged(format!("{CHECKSUMS} or {UNITS} says other than the manifest")));
    }
    for (path, entry) in &entries {
        let expected = mode_of(path);
        if entry.mode != expected {
            return Err(damaged(format!("{path} has mode {:o}, expected {expected:o}", entry.mode)));
        }
    }
    if let Some((name, _)) = TEMPLATES.iter().find(|(name, text)| bytes(name) != Some(text.as_bytes())) {
        return Err(damaged(format!("{name} isn't this program's")));
    }
    strategies(&manifest, bytes)?;
    let unpacked = entries.values().map(|entry| entry.size).sum();
    let deployed = entries.into_iter().filter(|(path, _)| path.starts_with("deployed/"));
    let deployed = deployed.map(|(path, entry)| (path, entry.bytes)).collect();
    Ok(Verified { digest: sha256_hex(&file), manifest, unpacked, deployed })
}

/// Every strategy of a bundle as a host must find it: digests of their parts, and units that the project's rules allow.
fn strategies<'b>(manifest: &Manifest, bytes: impl Fn(&str) -> Option<&'b [u8]>) -> Result<()> {
    let damaged = |what: String| Error::new(codes::BUNDLE_DAMAGED, what);
    if manifest.strategies.is_empty() {
        return Err(damaged("it ships no strategy: nothing to run is never a success".to_owned()));
    }
    for (name, shipped) in &manifest.strategies {
        let sha256 = |path: &str| manifest.sha256(path);
        let made_of = strategy_digest(sha256(BINARY), sha256(&config_path(name)), sha256(&unit_path(name)));
        let fits = shipped.config_sha256 == sha256(&config_path(name)) && shipped.unit == deployed::unit_name(name);
        if !deployed::is_name(name) || made_of != shipped.digest || !fits {
            return Err(damaged(format!("the digest of {} isn't that of its parts", shipped.unit)));
        }
        let path = unit_path(name);
        let unit = Unit::from_bytes(Path::new(&path), bytes(&path).unwrap_or_default())?;
        if let Some(finding) = unit.examine(name).into_iter().find(|f| f.severity == Severity::Error) {
            return Err(damaged(format!("{path}: {}: {}", finding.subject, finding.what)).help(finding.help));
        }
    }
    Ok(())
}

fn units_text(strategies: &BTreeMap<String, Shipped>) -> String {
    let line = |(name, s): (&String, &Shipped)| format!("{} {} {}\n", s.digest, s.unit, unit_path(name));
    strategies.iter().map(line).collect()
}

/// What a file of a release may be done with.
fn mode_of(path: &str) -> u32 {
    if path == BINARY { 0o755 } else { 0o644 }
}

/// Only these files are shipped, and none of them may hold a key.
fn no_secret(path: &Path, bytes: &[u8]) -> Result<()> {
    const KEYS: &str = r#"(AKIA|ASIA)[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|(?i:(secret|api_?key|password|token)[a-z_]*["']?\s*[:=]\s*["']?[A-Za-z0-9+][A-Za-z0-9+/]{15,})"#;
    let text = String::from_utf8_lossy(bytes);
    let found = Regex::new(KEYS).ok().and_then(|keys| keys.find(&text).map(|m| m.start()));
    match found {
        None => Ok(()),
        Some(at) => {
            let line = text[..at].matches('\n').count() + 1;
            Err(Error::new(codes::SECRET_IN_BUNDLE, "this line looks like a key").at_line(path, line, None))
        }
    }
}

fn pack(files: &BTreeMap<String, Vec<u8>>) -> std::io::Result<Vec<u8>> {
    let mut builder = Builder::new(zstd::Encoder::new(Vec::new(), LEVEL)?);
    for (path, bytes) in files {
        builder.append(&header(path, bytes)?, &bytes[..])?;
    }
    builder.into_inner()?.finish()
}

fn header(path: &str, bytes: &[u8]) -> std::io::Result<Header> {
    let mut header = Header::new_ustar();
    header.set_path(path)?;
    header.set_size(bytes.len() as u64);
    header.set_mode(mode_of(path));
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_entry_type(EntryType::Regular);
    header.set_cksum();
    Ok(header)
}

/// Everything in a bundle. What unpacks to more than any release isn't one, and is found before it takes memory.
fn entries(bytes: &[u8]) -> Result<BTreeMap<String, Entry>> {
    let damaged = |what: String| Error::new(codes::BUNDLE_DAMAGED, what);
    let fault = |e: std::io::Error| damaged(format!("no bundle: {e}"));
    let limited = zstd::Decoder::new(bytes).map_err(fault)?.take(LARGEST);
    let (mut all, mut archive) = (BTreeMap::new(), Archive::new(limited));
    for entry in archive.entries().map_err(fault)? {
        let mut entry = entry.map_err(fault)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let header = entry.header();
        if header.entry_type() != EntryType::Regular {
            return Err(damaged(format!("{} is no regular file", quoted(&path))));
        }
        if !is_plain(&path) {
            return Err(damaged(format!("it holds the path {}", quoted(&path))));
        }
        let (owner, group) = (header.uid().map_err(fault)?, header.gid().map_err(fault)?);
        if (owner, group) != (0, 0) {
            return Err(damaged(format!("{path} is of user {owner} and group {group}, expected root's")));
        }
        let (mode, size) = (header.mode().map_err(fault)?, header.size().map_err(fault)?);
        let read = match path == BINARY {
            true => {
                let (sha256, size) = sha256_of(&mut entry).map_err(fault)?;
                Entry { sha256, size, mode, bytes: Vec::new() }
            }
            false if size > LARGEST_TEXT => {
                return Err(damaged(format!("{path} has {size} bytes, at most {LARGEST_TEXT} are expected")));
            }
            false => {
                let mut bytes = Vec::new();
                entry.read_to_end(&mut bytes).map_err(fault)?;
                Entry { sha256: sha256_hex(&bytes), size: bytes.len() as u64, mode, bytes }
            }
        };
        if all.insert(path.clone(), read).is_some() {
            return Err(damaged(format!("{path} is there twice")));
        }
        if all.len() > MOST_FILES {
            return Err(damaged(format!("it holds more than {MOST_FILES} files")));
        }
    }
    Ok(all)
}

/// Key of a bundle: when its commit was made, UTC, the commit, and the digest. The same tree has
/// the same key.
pub fn key(committed: jiff::Timestamp, commit: &str, digest: &str) -> String {
    let at = committed.strftime("%Y%m%dT%H%M%SZ");
    format!("bundles/{at}-{}-{digest}.tar.zst", short(commit))
}

/// Writes it to a file.
///
/// # Errors
/// Usage error if it can't be written.
pub fn write(bundle: &Bundle, path: &Path) -> Result<()> {
    magellan::disk::write::write_whole(path, &bundle.bytes, 0o644)
        .map_err(|e| Error::new(codes::CANNOT_WRITE, e.to_string()).at(path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use magellan::deployed::discover;

    type Files = BTreeMap<String, Vec<u8>>;

    fn build(folder: &Path, binary: &[u8]) -> Result<Bundle> {
        let path = folder.join("magellan");
        std::fs::write(&path, binary).expect("written");
        let strategies = discover(&folder.join("deployed"))?;
        Bundle::build(&Parts { strategies: &strategies, binary: &path, commit: &"c".repeat(40) })
    }

    fn verified(bytes: &[u8]) -> Result<Verified> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(file.path(), bytes).expect("written");
        verify(file.path())
    }

    fn tree() -> tempfile::TempDir {
        let folder = tempfile::tempdir().expect("a folder");
        let deployed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deployed");
        let to = folder.path().join("deployed");
        for one in discover(&deployed).expect("strategies") {
            let into = to.join(&one.name);
            std::fs::create_dir_all(&into).expect("made");
            std::fs::copy(&one.config, into.join("config.json")).expect("copied");
            std::fs::copy(one.unit(), into.join(deployed::unit_file(&one.name))).expect("copied");
        }
        folder
    }

    fn files(bundle: &Bundle) -> Files {
        let mut archive = Archive::new(zstd::Decoder::new(&bundle.bytes[..]).expect("a bundle"));
        let read = |entry: std::io::Result<tar::Entry<'_, _>>| {
            let mut entry = entry.expect("an entry");
            let mut bytes = Vec::new();
            std::io::Read::read_to_end(&mut entry, &mut bytes).expect("read");
            (String::from_utf8_lossy(&entry.path_bytes()).into_owned(), bytes)
        };
        archive.entries().expect("entries").map(read).collect()
    }

    #[test]
    fn two_builds_of_one_tree_are_the_same_bytes_and_verify() {
        let (one, other) = (tree(), tree());
        let first = build(one.path(), b"binary").expect("built");
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        let second = build(other.path(), b"binary").expect("built");
        assert_eq!(first.bytes, second.bytes);
        assert_eq!(verified(&first.bytes).map(|b| b.digest).map_err(|e| e.to_string()), Ok(first.digest));
    }

    #[test]
    fn a_config_changes_one_strategys_digest_and_the_binary_all() {
        let folder = tree();
        let before = build(folder.path(), b"binary").expect("built").manifest.strategies;
        let config = folder.path().join("deployed/bear_trap/config.json");
        let text = std::fs::read_to_string(&config).expect("read").replace("\"seed\": 1", "\"seed\": 2");
        std::fs::write(&config, text).expect("written");
        let differing = |after: &BTreeMap<String, Shipped>| {
            before.iter().filter(|(name, s)| after[*name].digest != s.digest).map(|(n, _)| n.clone()).collect()
        };
        let changed: Vec<String> = differing(&build(folder.path(), b"binary").expect("built").manifest.strategies);
        assert_eq!(changed, ["bear_trap"]);
        let all: Vec<String> = differing(&build(folder.path(), b"other").expect("built").manifest.strategies);
        assert_eq!(all.len(), 3);
    }

    #[test]
    fn any_flipped_byte_is_found() {
        let folder = tree();
        let bundle = build(folder.path(), b"binary").expect("built");
        for at in (0..bundle.bytes.len()).step_by(17) {
            let mut bytes = bundle.bytes.clone();
            bytes[at] ^= 1;
            // What zstd doesn't look at changes the digest only.
            if let Ok(other) = verified(&bytes) {
                assert!(other.digest != bundle.digest && other.manifest == bundle.manifest, "byte {at}");
            }
        }
    }

    #[test]
    fn a_key_is_never_shipped() {
        let folder = tree();
        let config = folder.path().join("deployed/bear_trap/config.json");
        let good = std::fs::read_to_string(&config).expect("read");
        for secret in ["\"api_secret\": \"abcdefghijklmnop1234\"", "AKIAABCDEFGHIJKLMNOP"] {
            std::fs::write(&config, format!("{good}\n{secret}\n")).expect("written");
            assert_eq!(build(folder.path(), b"binary").map_err(|e| e.code()).err(), Some(codes::SECRET_IN_BUNDLE));
        }
    }

    #[test]
    fn what_isnt_in_the_manifest_is_found() {
        let folder = tree();
        let bundle = build(folder.path(), b"binary").expect("built");
        let with = |change: &dyn Fn(&mut Files)| {
            let mut files = files(&bundle);
            change(&mut files);
            verified(&pack(&files).expect("packed")).map_err(|e| e.code()).err()
        };
        assert_eq!(with(&|_| {}), None);
        assert_eq!(with(&|f| drop(f.insert("more".into(), Vec::new()))), Some(codes::BUNDLE_DAMAGED));
        assert_eq!(with(&|f| drop(f.remove("units"))), Some(codes::BUNDLE_DAMAGED));
        assert_eq!(with(&|f| f.get_mut("magellan").expect("there").push(0)), Some(codes::BUNDLE_DAMAGED));
        assert_eq!(with(&|f| f.get_mut("checksums").expect("there").clear()), Some(codes::BUNDLE_DAMAGED));
    }

    /// A bundle that is consistent with itself, of a strategy whose unit or name a host would refuse.
    fn forged(change: impl Fn(&str) -> String) -> Option<magellan::error::Code> {
        let folder = tree();
        let unit = folder.path().join("deployed/bear_trap/magellan-bear-trap.service");
        let text = std::fs::read_to_string(&unit).expect("read");
        std::fs::write(&unit, change(&text)).expect("written");
        verified(&build(folder.path(), b"binary").expect("built").bytes).map_err(|e| e.code()).err()
    }

    #[test]
    fn what_no_host_would_take_is_refused() {
        assert_eq!(forged(str::to_owned), None);
        let as_root = |text: &str| text.replace(&format!("User={}", crate::unit::USER), "User=root");
        assert_eq!(forged(as_root), Some(codes::BUNDLE_DAMAGED));
        assert_eq!(
            forged(|text| text.replace("[Install]", "ExecStartPre=/bin/true\n[Install]")),
            Some(codes::BUNDLE_DAMAGED)
        );
        let nothing = Bundle::build(&Parts { strategies: &[], binary: Path::new("/bin/true"), commit: "c" });
        let refused = verified(&nothing.expect("built").bytes).expect_err("refused");
        assert!(refused.to_string().contains("no strategy"), "{refused}");
    }

    #[test]
    fn modes_and_owners_are_those_of_a_release() {
        let folder = tree();
        let bundle = build(folder.path(), b"binary").expect("built");
        let with = |change: &dyn Fn(&mut Header)| {
            let mut builder = Builder::new(zstd::Encoder::new(Vec::new(), LEVEL).expect("an encoder"));
            for (path, bytes) in &files(&bundle) {
                let mut header = header(path, bytes).expect("a header");
                change(&mut header);
                header.set_cksum();
                builder.append(&header, &bytes[..]).expect("packed");
            }
            verified(&builder.into_inner().and_then(zstd::Encoder::finish).expect("packed")).map_err(|e| e.code()).err()
        };
        assert_eq!(with(&|_| {}), None);
        assert_eq!(with(&|h| h.set_mode(0o4755)), Some(codes::BUNDLE_DAMAGED));
        assert_eq!(with(&|h| h.set_mode(0o666)), Some(codes::BUNDLE_DAMAGED));
        assert_eq!(with(&|h| h.set_uid(1_000)), Some(codes::BUNDLE_DAMAGED));
    }

    #[test]
    fn a_bomb_is_refused_in_little_memory() {
        // A gigabyte and more of zeros, as a file that no release has so large, or as its binary.
        for path in ["deployed/bear_trap/config.json", BINARY] {
            let mut encoder = zstd::Encoder::new(Vec::new(), 1).expect("an encoder");
            let mut header = header(path, b"").expect("a header");
            header.set_size(LARGEST + 1);
            header.set_cksum();
            std::io::Write::write_all(&mut encoder, header.as_bytes()).expect("written");
            std::io::copy(&mut std::io::repeat(0).take(LARGEST + 1), &mut encoder).expect("written");
            let bomb = encoder.finish().expect("packed");
            assert!(bomb.len() < 1 << 20);
            assert_eq!(verified(&bomb).map_err(|e| e.code()).err(), Some(codes::BUNDLE_DAMAGED), "{path}");
        }
    }
}
