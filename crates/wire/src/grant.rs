//! A grant: a signed statement of rights, with the secrets that make them real beside it, in the same envelope. Never
//! published. docs/spec/grant.md.

use crate::blind::ReadKey;
use crate::cbor::{self, CborError};
use crate::device_list::{DeviceList, DeviceListError};
use crate::ids::{DeviceId, PrincipalId, RandomId};
use crate::keys::DeviceKeys;
use crate::limits::{GRANT_DEPTH, SKEW};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeSet;

const LABEL: &str = "porchlight/grant/1";

/// Bytes of a grant's statement: twice what the fields need.
const GRANT_BYTES: usize = 1_024;

/// A right to something of the issuer's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    /// To ask for presence.
    Fetch,
    /// To be notified of presence.
    Subscribe,
}

/// The statement.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// Who grants.
    pub issuer: PrincipalId,
    /// By which device.
    pub device: DeviceId,
    /// To whom.
    pub audience: PrincipalId,
    /// What.
    pub rights: BTreeSet<Right>,
    /// From when.
    pub not_before: UnixMillis,
    /// Until when.
    pub not_after: UnixMillis,
    /// Orders the issuer's grants to one audience: of two, the higher one holds.
    pub sequence: u64,
    /// Names it.
    pub id: RandomId,
    /// How often it may be passed on.
    pub depth: u8,
    /// SHA-256 of the deterministic CBOR of the secrets.
    #[serde(with = "serde_bytes")]
    pub secrets: [u8; 32],
}

/// What makes the rights real.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantSecrets {
    /// Finds and reads the view.
    pub view: ReadKey,
    /// Counts up with each generation of that view, from 1.
    pub generation: u64,
}

impl GrantSecrets {
    fn hash(&self) -> [u8; 32] {
        Sha256::digest(cbor::encode(self)).into()
    }
}

/// A grant as sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SignedGrant {
    /// The deterministic CBOR of a [`Grant`].
    #[serde(with = "serde_bytes")]
    pub grant: Vec<u8>,
    /// The device's signature over it.
    #[serde(with = "serde_bytes")]
    pub signature: [u8; 64],
    /// The secrets beside it.
    pub secrets: GrantSecrets,
}

impl Grant {
    /// Signs the statement, with the hash of `secrets` in it.
    #[must_use]
    pub fn sign(mut self, keys: &DeviceKeys, secrets: GrantSecrets) -> SignedGrant {
        self.secrets = secrets.hash();
        let grant = cbor::encode(&self);
        let signature = keys.sign(LABEL, &grant);
        SignedGrant {
            grant,
            signature,
            secrets,
        }
    }
}

impl SignedGrant {
    /// Checks signature, issuer, audience, times and that the secrets are those meant.
    ///
    /// # Errors
    ///
    /// Says what does not fit.
    pub fn verify(&self, issuer: &DeviceList, audience: &PrincipalId, now: UnixMillis) -> Result<Grant, GrantError> {
        let grant: Grant = cbor::decode(&self.grant, GRANT_BYTES)?;
        if grant.issuer != issuer.principal {
            return Err(GrantError::OtherIssuer);
        }
        issuer.signed_by(&grant.device, LABEL, &self.grant, &self.signature, now)?;
        if grant.audience != *audience {
            return Err(GrantError::OtherAudience);
        }
        if grant.not_before > now.plus(SKEW) {
            return Err(GrantError::NotYet);
        }
        if grant.not_after <= now {
            return Err(GrantError::Expired);
        }
        if grant.depth > GRANT_DEPTH {
            return Err(GrantError::Depth(grant.depth));
        }
        if grant.secrets != self.secrets.hash() {
            return Err(GrantError::OtherSecrets);
        }
        Ok(grant)
    }
}

/// A grant that does not stand.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// The bytes are no grant.
    #[error("the grant cannot be read: {0}")]
    Unreadable(#[from] CborError),
    /// The signature does not stand.
    #[error(transparent)]
    Devices(#[from] DeviceListError),
    /// It is by somebody else.
    #[error("the grant is by another principal than its letter")]
    OtherIssuer,
    /// It is for somebody else.
    #[error("the grant is for somebody else")]
    OtherAudience,
    /// Its time has not come.
    #[error("the grant does not hold yet")]
    NotYet,
    /// Its time is over.
    #[error("the grant no longer holds")]
    Expired,
    /// It may be passed on more often than is foreseen.
    #[error("expected a depth of at most {GRANT_DEPTH}, got {0}")]
    Depth(u8),
    /// The secrets beside it are not those it was signed with.
    #[error("the secrets beside the grant are not those it speaks of")]
    OtherSecrets,
}
