//! Ed25519 keys: private ones in PEM as openssl writes them, public ones as their raw 32 bytes.

use std::fmt;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use magellan::disk::hash::sha256_hex;
use magellan::disk::map;
use magellan::error::{Error, Result};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};

use crate::codes;

/// A private key is a line or two.
const LARGEST: usize = 4 << 10;
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// What stands before the 32 bytes of a private key in PKCS#8 (RFC 8410). openssl doesn't read the newer form, with the
/// public key behind it.
const BEFORE_SEED: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// A public key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads the raw 32 bytes in base64; none, if they aren't that.
    pub fn from_base64(text: &str) -> Option<Self> {
        BASE64_STANDARD.decode(text).ok()?.try_into().ok().map(Self)
    }

    /// The raw 32 bytes in base64.
    pub fn to_base64(self) -> String {
        BASE64_STANDARD.encode(self.0)
    }

    /// Its name in envelopes: the SHA-256 of the raw 32 bytes.
    pub fn id(self) -> String {
        sha256_hex(&self.0)
    }

    /// Whether this key's owner has signed the message.
    pub fn has_signed(self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.0).verify(message, signature).is_ok()
    }
}

/// A private key. Nothing shows it.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({})", self.public.id())
    }
}

impl SigningKey {
    /// Makes a key; its text is for [`write_new`] alone.
    ///
    /// # Errors
    /// If the operating system gives no random bytes.
    pub fn generate() -> Result<(Self, String)> {
        let mut seed = [0; 32];
        let random = SystemRandom::new().fill(&mut seed);
        random.map_err(|_| Error::new(codes::IO, "the operating system gave no random bytes"))?;
        let pem = pem(&seed);
        Ok((Self::from_pem(&pem)?, pem))
    }

    /// Reads a key's file.
    ///
    /// # Errors
    /// Usage error if it isn't one, or others than its owner may read it.
    pub fn read(path: &Path) -> Result<Self> {
        let bad = |e: Error| e.recode(codes::BAD_KEY);
        let mode = std::fs::metadata(path).map_err(|e| bad(Error::io(path, &e)))?.mode();
        if mode & 0o077 != 0 {
            let what = format!("others than its owner may read this private key: its mode is {:o}", mode & 0o777);
            return Err(Error::new(codes::BAD_KEY, what)
                .at(path.display())
                .help(format!("chmod 600 {}; if others have had it, make a new one", path.display())));
        }
        let bytes = map::bytes_up_to(path, LARGEST as u64).map_err(bad)?;
        let text = String::from_utf8(bytes.to_vec()).unwrap_or_default();
        Self::from_pem(&text).map_err(|e| e.at(path.display()))
    }

    /// Reads a key from its text: PKCS#8 in PEM.
    ///
    /// # Errors
    /// Usage error if it isn't one. The message never holds the text.
    pub fn from_pem(text: &str) -> Result<Self> {
        let bad = |what: &str| Error::new(codes::BAD_KEY, what);
        if text.contains("ENCRYPTED PRIVATE KEY") {
            return Err(bad("the key is encrypted, and nobody is asked for its password here")
                .help("decrypt it with `openssl pkey -in FILE -out NEW`, and keep the new file to yourself"));
        }
        let pkcs8 = pkcs8(text).ok_or_else(|| bad("it isn't a private key in PEM (BEGIN PRIVATE KEY)"))?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&pkcs8)
            .map_err(|_| bad("it is a private key, but not one of Ed25519"))?;
        let public = pair.public_key().as_ref().try_into().map_err(|_| bad("its public key hasn't 32 bytes"))?;
        Ok(Self { pair, public: PublicKey(public) })
    }

    /// The public key that belongs to it.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Signs a message.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.pair.sign(message).as_ref().to_vec()
    }
}

/// The bytes between the lines of PEM.
fn pkcs8(text: &str) -> Option<Vec<u8>> {
    if text.len() > LARGEST {
        return None;
    }
    let inside = text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?;
    let digits: String = inside.split_whitespace().collect();
    BASE64_STANDARD.decode(digits).ok()
}

fn pem(seed: &[u8; 32]) -> String {
    let pkcs8 = [BEFORE_SEED.as_slice(), seed].concat();
    format!("{BEGIN}\n{}\n{END}\n", BASE64_STANDARD.encode(pkcs8))
}

/// Writes a file that isn't there yet.
///
/// # Errors
/// Refused if there is something already; usage error if it can't be written, and then nothing is left.
pub fn write_new(path: &Path, text: &str, mode: u32) -> Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(|e| {
        let code = if e.kind() == std::io::ErrorKind::AlreadyExists { codes::NOT_EMPTY } else { codes::CANNOT_WRITE };
        Error::new(code, format!("no file is made: {e}")).at(path.display())
    })?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).map_err(|e| {
        let _ = std::fs::remove_file(path);
        Error::new(codes::CANNOT_WRITE, e.to_string()).at(path.display())
    })
}

#[cfg(test)]
pub(super) mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// Test 1 of RFC 8032, and a key that differs from it in one bit.
    const SEEDS: [&str; 2] = [
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f61",
    ];

    pub(in crate::signing) fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).expect("hex")).collect()
    }

    /// A key that is the same in each run.
    pub(in crate::signing) fn key(which: usize) -> SigningKey {
        SigningKey::from_pem(&pem(&bytes(SEEDS[which]).try_into().expect("32 bytes"))).expect("a key")
    }

    #[test]
    fn the_first_vector_of_rfc_8032() {
        let key = key(0);
        assert_eq!(key.public.0.to_vec(), bytes("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"));
        let signature = bytes(
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
        );
        assert_eq!(key.sign(b""), signature);
        assert!(key.public.has_signed(b"", &signature) && !key.public.has_signed(b"x", &signature));
    }

    #[test]
    fn a_new_key_is_its_owners_alone_replaces_nothing_and_shows_itself_nowhere() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ci.pem");
        let (key, pem) = SigningKey::generate().expect("made");
        write_new(&path, &pem, 0o600).expect("written");
        assert_eq!(std::fs::metadata(&path).expect("there").mode() & 0o777, 0o600);
        assert_eq!(SigningKey::read(&path).expect("read").public, key.public);
        assert_ne!(SigningKey::generate().expect("made").0.public, key.public);
        let text = std::fs::read_to_string(&path).expect("text");
        assert_eq!(write_new(&path, "another", 0o600).map_err(|e| e.code()).err(), Some(codes::NOT_EMPTY));
        assert_eq!(std::fs::read_to_string(&path).expect("text"), text);
        let secret = text.lines().nth(1).expect("base64");
        assert!(!format!("{key:?}").contains(secret) && format!("{key:?}").contains(&key.public.id()));
    }

    #[test]
    fn a_file_that_others_may_read_is_no_key() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("ci.pem");
        write_new(&path, &pem(&[7; 32]), 0o600).expect("written");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o640)).expect("changed");
        let err = SigningKey::read(&path).expect_err("refused");
        assert!(err.code() == codes::BAD_KEY && err.to_string().contains("640"), "{err}");
    }

    #[test]
    fn what_is_no_key_is_refused_and_never_shown() {
        let good = pem(&[7; 32]);
        let secret = good.lines().nth(1).expect("base64").to_owned();
        let p256 = format!("{BEGIN}\n{}\n{END}\n", BASE64_STANDARD.encode([0x30, 0x41, 2, 1, 0]));
        for bad in [
            String::new(),
            secret.clone(),
            good.replace("PRIVATE", "ENCRYPTED PRIVATE"),
            good.replace("PRIVATE", "PUBLIC"),
            good.replace(END, ""),
            good.replace(&secret, &secret[4..]),
            good.clone() + &good,
            format!("{good}{}", " ".repeat(LARGEST)),
            p256,
        ] {
            let err = SigningKey::from_pem(&bad).expect_err(&bad);
            assert!(err.code() == codes::BAD_KEY && !format!("{err:?} {err}").contains(&secret), "{err:?}");
        }
        assert!(SigningKey::from_pem(&good.replace('\n', "\r\n")).is_ok());
    }
}
