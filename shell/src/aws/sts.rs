//! Whose the credentials are.

use magellan::error::{Error, Result};

use super::{Aws, fault};
use crate::codes;

impl Aws {
    /// The account of the credentials.
    ///
    /// # Errors
    /// Deploy error if there are none, or they aren't accepted.
    pub fn account(&self) -> Result<String> {
        let identity = self.wait(aws_sdk_sts::Client::new(&self.config).get_caller_identity().send());
        let identity = identity.map_err(|e| fault("who the credentials belong to", &e))?;
        identity.account.ok_or_else(|| Error::new(codes::AWS_FAILED, "AWS didn't say whose the credentials are"))
    }
}
