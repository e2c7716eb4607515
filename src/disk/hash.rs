//! Hashes of bytes, in lower-case hexadecimal digits.

use std::io::{Read, Result};

use sha2::{Digest, Sha256};

/// SHA-256: 64 digits. For what must not be forged by accident or edit.
pub fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// SHA-256 of all that a reader gives, and how many bytes that is, in the memory of one buffer.
///
/// # Errors
/// The reader's.
pub fn sha256_of(mut reader: impl Read) -> Result<(String, u64)> {
    let (mut digest, mut buffer, mut length) = (Sha256::new(), vec![0; 1 << 16], 0);
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok((hex(&digest.finalize()), length)),
            n => {
                digest.update(&buffer[..n]);
                length += n as u64;
            }
        }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// XXH3, 128 bits: 32 digits. For what is checked at every use; it is about as fast as reading the bytes.
pub fn xxh3_hex(bytes: &[u8]) -> String {
    format!("{:032x}", twox_hash::XxHash3_128::oneshot(bytes))
}
