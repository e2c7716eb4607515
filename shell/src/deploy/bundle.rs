//! A release in one file: a `tar.zst` that is the same bytes whenever it is made of the same
//! tree, and whose SHA-256 is the release's name.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::Path;

use magellan::deployed::{self, Deployed};
use magellan::disk::hash::sha256_hex;
use magellan::disk::map::{self, Access};
use magellan::error::{Error, Result};
use regex_lite::Regex;
use tar::{Archive, Builder, EntryType, Header};

use crate::codes;
use crate::release::{
    BINARY, ENVIRONMENT, Environment, MANIFEST, Manifest, Shipped, ShippedFile, config_path, drop_in_path, short,
    unit_digest, unit_path,
};

/// Checksums in the form of `sha256sum --check`.
pub const CHECKSUMS: &str = "checksums";
/// One line a unit: digest, unit, its file, its drop-in.
pub const UNITS: &str = "units";
/// Started when a unit has failed.
const FAILED: (&str, &str) = ("magellan-failed@.service", include_str!("magellan-failed@.service"));
/// A tenth more bytes than level 9, in a quarter of its time.
const LEVEL: i32 = 3;
/// No release is larger once it is unpacked, bytes.
const LARGEST: u64 = 2 << 30;

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
    /// Where it is meant to run.
    pub environment: &'a Environment,
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
        let (binary_sha256, drop_in) = (sha256_hex(&binary), parts.environment.drop_in());
        files.insert(BINARY.to_owned(), binary.to_vec());
        files.insert(FAILED.0.to_owned(), FAILED.1.as_bytes().to_vec());
        no_secret(Path::new(ENVIRONMENT), parts.environment.text.as_bytes())?;
        files.insert(ENVIRONMENT.to_owned(), parts.environment.text.clone().into_bytes());
        let mut strategies = BTreeMap::new();
        for one in parts.strategies {
            let (config, unit_file) = (text(&one.config)?, text(&one.unit())?);
            let unit = deployed::unit_name(&one.name);
            let (config_sha256, unit_sha256) = (sha256_hex(&config), sha256_hex(&unit_file));
            let digest = unit_digest(&binary_sha256, &config_sha256, &unit_sha256, &sha256_hex(drop_in.as_bytes()));
            files.insert(config_path(&one.name), config);
            files.insert(unit_path(&one.name), unit_file);
            files.insert(drop_in_path(&unit), drop_in.clone().into_bytes());
            strategies.insert(one.name.clone(), Shipped { unit, unit_digest: digest, config_sha256 });
        }
        let shipped = |bytes: &Vec<u8>| ShippedFile { sha256: sha256_hex(bytes), size: bytes.len() as u64 };
        files.insert(UNITS.to_owned(), units_text(&strategies).into_bytes());
        let listed = files.iter().map(|(path, bytes)| (path.clone(), shipped(bytes))).collect();
        let manifest = Manifest::new(&parts.environment.name, parts.commit, listed, strategies);
        files.insert(MANIFEST.to_owned(), manifest.text().into_bytes());
        files.insert(CHECKSUMS.to_owned(), checksums_text(&manifest).into_bytes());
        let unpacked = files.values().map(|bytes| bytes.len() as u64).sum();
        let bytes = pack(&files).map_err(|e| Error::new(codes::IO, format!("can't pack the bundle: {e}")))?;
        Ok(Self { digest: sha256_hex(&bytes), bytes, manifest, unpacked })
    }

    /// Reads a bundle and holds everything in it to its manifest.
    ///
    /// # Errors
    /// Refused, naming what differs.
    pub fn verify(bytes: Vec<u8>) -> Result<Self> {
        let damaged = |what: String| Error::new(codes::BUNDLE_DAMAGED, what);
        let files = unpack(&bytes)?;
        let text = files.get(MANIFEST).ok_or_else(|| damaged(format!("it has no {MANIFEST}")))?;
        let manifest = Manifest::parse(text)?;
        if manifest.text().as_bytes() != &text[..] {
            return Err(damaged(format!("{MANIFEST} isn't as it was written")));
        }
        for (path, shipped) in &manifest.files {
            let file = files.get(path).ok_or_else(|| damaged(format!("{path} is missing")))?;
            if (sha256_hex(file), file.len() as u64) != (shipped.sha256.clone(), shipped.size) {
                return Err(damaged(format!("the bytes of {path} aren't those of the manifest")));
            }
        }
        let known: BTreeSet<&str> = manifest.files.keys().map(String::as_str).chain([MANIFEST, CHECKSUMS]).collect();
        if let Some(more) = files.keys().find(|path| !known.contains(path.as_str())) {
            return Err(damaged(format!("{more} isn't in the manifest")));
        }
        let same = |path: &str, text: String| files.get(path).is_some_and(|bytes| *bytes == text.as_bytes());
        if !same(CHECKSUMS, checksums_text(&manifest)) || !same(UNITS, units_text(&manifest.strategies)) {
            return Err(damaged(format!("{CHECKSUMS} or {UNITS} says other than the manifest")));
        }
        for (name, shipped) in &manifest.strategies {
            let sha256 = |path: &str| manifest.files.get(path).map_or("", |f| f.sha256.as_str());
            let made_of = unit_digest(
                sha256(BINARY),
                sha256(&config_path(name)),
                sha256(&unit_path(name)),
                sha256(&drop_in_path(&shipped.unit)),
            );
            let fits = shipped.config_sha256 == sha256(&config_path(name)) && shipped.unit == deployed::unit_name(name);
            if made_of != shipped.unit_digest || !fits {
                return Err(damaged(format!("the digest of {} isn't that of its parts", shipped.unit)));
            }
        }
        let unpacked = files.values().map(|bytes| bytes.len() as u64).sum();
        Ok(Self { digest: sha256_hex(&bytes), bytes, manifest, unpacked })
    }
}

fn units_text(strategies: &BTreeMap<String, Shipped>) -> String {
    let line = |(name, s): (&String, &Shipped)| {
        format!("{} {} {} {}\n", s.unit_digest, s.unit, unit_path(name), drop_in_path(&s.unit))
    };
    strategies.iter().map(line).collect()
}

fn checksums_text(manifest: &Manifest) -> String {
    let own = (MANIFEST.to_owned(), sha256_hex(manifest.text().as_bytes()));
    let files = manifest.files.iter().map(|(path, file)| (path.clone(), file.sha256.clone()));
    files.chain([own]).map(|(path, sha256)| format!("{sha256}  {path}\n")).collect()
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
        let mut header = Header::new_ustar();
        header.set_path(path)?;
        header.set_size(bytes.len() as u64);
        header.set_mode(if path == BINARY { 0o755 } else { 0o644 });
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_entry_type(EntryType::Regular);
        header.set_cksum();
        builder.append(&header, &bytes[..])?;
    }
    builder.into_inner()?.finish()
}

fn unpack(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>> {
    let damaged = |what: String| Error::new(codes::BUNDLE_DAMAGED, what);
    let fault = |e: std::io::Error| damaged(format!("no bundle: {e}"));
    // What unpacks to more than any release isn't one.
    let limited = zstd::Decoder::new(bytes).map_err(fault)?.take(LARGEST);
    let (mut files, mut archive) = (BTreeMap::new(), Archive::new(limited));
    for entry in archive.entries().map_err(fault)? {
        let mut entry = entry.map_err(fault)?;
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        if entry.header().entry_type() != EntryType::Regular {
            return Err(damaged(format!("{path} is no regular file")));
        }
        let mut file = Vec::new();
        entry.read_to_end(&mut file).map_err(fault)?;
        if files.insert(path.clone(), file).is_some() {
            return Err(damaged(format!("{path} is there twice")));
        }
    }
    Ok(files)
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

    fn build(folder: &Path, binary: &[u8]) -> Result<Bundle> {
        let deployed = folder.join("deployed");
        let environment = Environment::read(&deployed, "staging")?;
        let path = folder.join("magellan");
        std::fs::write(&path, binary).expect("written");
        let strategies = discover(&deployed)?;
        Bundle::build(&Parts {
            environment: &environment,
            strategies: &strategies,
            binary: &path,
            commit: &"c".repeat(40),
        })
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
        std::fs::create_dir_all(to.join("environments")).expect("made");
        let staging = Path::new("environments/staging.toml");
        std::fs::copy(deployed.join(staging), to.join(staging)).expect("copied");
        folder
    }

    #[test]
    fn two_builds_of_one_tree_are_the_same_bytes_and_verify() {
        let (one, other) = (tree(), tree());
        let first = build(one.path(), b"binary").expect("built");
        std::thread::sleep(std::time::Duration::from_millis(1_100));
        let second = build(other.path(), b"binary").expect("built");
        assert_eq!(first.bytes, second.bytes);
        assert_eq!(Bundle::verify(first.bytes).map(|b| b.digest).map_err(|e| e.to_string()), Ok(first.digest));
    }

    #[test]
    fn a_config_changes_one_units_digest_and_the_binary_all() {
        let folder = tree();
        let before = build(folder.path(), b"binary").expect("built").manifest.strategies;
        let config = folder.path().join("deployed/bear_trap/config.json");
        let text = std::fs::read_to_string(&config).expect("read").replace("\"seed\": 1", "\"seed\": 2");
        std::fs::write(&config, text).expect("written");
        let differing = |after: &BTreeMap<String, Shipped>| {
            before
                .iter()
                .filter(|(name, s)| after[*name].unit_digest != s.unit_digest)
                .map(|(n, _)| n.clone())
                .collect()
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
            if let Ok(other) = Bundle::verify(bytes) {
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
        type Files = BTreeMap<String, Vec<u8>>;
        let with = |change: &dyn Fn(&mut Files)| {
            let mut files = unpack(&bundle.bytes).expect("unpacked");
            change(&mut files);
            Bundle::verify(pack(&files).expect("packed")).map_err(|e| e.code()).err()
        };
        assert_eq!(with(&|_| {}), None);
        assert_eq!(with(&|f| drop(f.insert("more".into(), Vec::new()))), Some(codes::BUNDLE_DAMAGED));
        assert_eq!(with(&|f| drop(f.remove("units"))), Some(codes::BUNDLE_DAMAGED));
        assert_eq!(with(&|f| f.get_mut("magellan").expect("there").push(0)), Some(codes::BUNDLE_DAMAGED));
        assert_eq!(with(&|f| f.get_mut("checksums").expect("there").clear()), Some(codes::BUNDLE_DAMAGED));
    }
}
