//! Hashes of bytes, in lower-case hexadecimal digits.

use sha2::{Digest, Sha256};

/// SHA-256: 64 digits. For what must not be forged by accident or edit.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|b| format!("{b:02x}")).collect()
}

/// XXH3, 128 bits: 32 digits. For what is checked at every use; it is about as fast as reading the bytes.
pub fn xxh3_hex(bytes: &[u8]) -> String {
    format!("{:032x}", xxhash_rust::xxh3::xxh3_128(bytes))
}
