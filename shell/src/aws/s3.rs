//! A versioned S3 bucket as a store. It needs PutObject and GetObject, and neither deletes nor
//! lists; so a key that isn't there answers 403 as often as 404.

use std::path::Path;
use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::config::http::HttpResponse;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectOutput};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{ChecksumMode, ServerSideEncryption};
use magellan::disk::hash::sha256_hex;
use magellan::error::{Error, Result};
use sha2::{Digest, Sha256};

use super::{Aws, fault, status};
use crate::codes;
use crate::deploy::store::{self, Object, Store, Written};

/// How long the host may fetch a bundle.
const PRESIGNED: Duration = Duration::from_secs(900);
/// Metadata that holds the SHA-256: S3's own checksum of a multipart upload is another.
const DIGEST: &str = "sha256";

/// A bucket.
pub struct S3<'a> {
    aws: &'a Aws,
    client: Client,
    bucket: String,
    account: String,
}

impl<'a> S3<'a> {
    /// The bucket, which must belong to the account.
    pub fn new(aws: &'a Aws, bucket: &str, account: &str) -> Self {
        let config = aws_sdk_s3::config::Builder::from(&aws.config).force_path_style(aws.elsewhere()).build();
        Self { aws, client: Client::from_conf(config), bucket: bucket.to_owned(), account: account.to_owned() }
    }

    fn put(&self, key: &str, bytes: &[u8]) -> PutObjectFluentBuilder {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .expected_bucket_owner(&self.account)
            .server_side_encryption(ServerSideEncryption::Aes256)
            .checksum_sha256(base64(&Sha256::digest(bytes)))
            .metadata(DIGEST, sha256_hex(bytes))
            .body(ByteStream::from(bytes.to_vec()))
    }

    fn sent(&self, key: &str, put: PutObjectFluentBuilder) -> Result<Written> {
        written(self.aws.wait(put.send())).map_err(|e| e.at(self.name(key)))
    }
}

type Sent = std::result::Result<PutObjectOutput, SdkError<PutObjectError, HttpResponse>>;

fn written(sent: Sent) -> Result<Written> {
    match sent {
        Ok(output) => Ok(Written::Yes(output.e_tag.unwrap_or_default())),
        Err(e) => match status(&e) {
            Some(412) => Ok(Written::No),
            // A key that is gone has no version either.
            Some(404) if e.code() == Some("NoSuchKey") => Ok(Written::No),
            Some(409) => Ok(Written::Busy),
            _ => Err(failed("to write", &e)),
        },
    }
}

impl Store for S3<'_> {
    fn get(&self, key: &str) -> Result<Option<Object>> {
        let get = self.client.get_object().bucket(&self.bucket).key(key).expected_bucket_owner(&self.account);
        let output = match self.aws.wait(get.checksum_mode(ChecksumMode::Enabled).send()) {
            Ok(output) => output,
            // Any other refusal is one: of the bucket, the signature, the clock.
            Err(e) if matches!(e.code(), Some("NoSuchKey" | "AccessDenied")) => return Ok(None),
            Err(e) => return Err(failed("to read", &e).at(self.name(key))),
        };
        let damaged = |what: String| Error::new(codes::STORE_FAILED, what).at(self.name(key));
        let (version, metadata) = (output.e_tag.unwrap_or_default(), output.metadata.unwrap_or_default());
        let bytes = self.aws.wait(output.body.collect()).map_err(|e| damaged(format!("it couldn't be read: {e}")))?;
        let bytes = bytes.into_bytes().to_vec();
        if metadata.get(DIGEST).is_none_or(|digest| *digest != sha256_hex(&bytes)) {
            return Err(damaged("what was read isn't what was written: its SHA-256 differs".to_owned()));
        }
        Ok(Some(Object { bytes, version }))
    }

    fn create(&self, key: &str, bytes: &[u8]) -> Result<Written> {
        self.sent(key, self.put(key, bytes).if_none_match("*"))
    }

    fn replace(&self, key: &str, bytes: &[u8], version: &str) -> Result<Written> {
        self.sent(key, self.put(key, bytes).if_match(version))
    }

    fn upload(&self, key: &str, file: &Path, sha256: &str) -> Result<bool> {
        if self.holds(key, sha256)? {
            return Ok(false);
        }
        let bytes = std::fs::read(file).map_err(|e| Error::io(file, &e))?;
        if store::write(self, key, &bytes, None)?.is_some() {
            return Ok(true);
        }
        Err(Error::new(codes::BUNDLE_DAMAGED, "other bytes are there under this name").at(self.name(key)))
    }

    fn holds(&self, key: &str, sha256: &str) -> Result<bool> {
        let head = self.client.head_object().bucket(&self.bucket).key(key).expected_bucket_owner(&self.account);
        match self.aws.wait(head.send()) {
            Ok(output) => Ok(output.metadata.is_some_and(|m| m.get(DIGEST).is_some_and(|d| d == sha256))),
            Err(e) if matches!(status(&e), Some(403 | 404)) => Ok(false),
            Err(e) => Err(failed("what is there", &e).at(self.name(key))),
        }
    }

    fn source(&self, key: &str) -> Result<String> {
        let for_long =
            PresigningConfig::expires_in(PRESIGNED).map_err(|e| Error::new(codes::AWS_FAILED, e.to_string()))?;
        let get = self.client.get_object().bucket(&self.bucket).key(key);
        let signed = self.aws.wait(get.presigned(for_long)).map_err(|e| failed("for an address", &e))?;
        Ok(signed.uri().to_owned())
    }

    fn name(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }
}

/// What the store refused.
fn failed<E>(question: &str, err: &SdkError<E, HttpResponse>) -> Error
where
    E: std::error::Error + ProvideErrorMetadata + 'static,
{
    fault(question, err).recode(codes::STORE_FAILED)
}

fn base64(bytes: &[u8]) -> String {
    aws_smithy_types::base64::encode(bytes)
}
