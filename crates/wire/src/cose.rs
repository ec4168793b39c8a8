//! Signatures that outsiders can check by an existing standard: COSE_Sign1 (RFC 9052 section 4.2), untagged, with EdDSA
//! (RFC 9053 section 2.2) and a detached payload. docs/spec/message.md.

use crate::cbor::{self, Value};
use crate::device_list::{DeviceList, DeviceListError};
use crate::ids::DeviceId;
use crate::keys::{DeviceKeys, verify_plain};
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};

/// The protected header: `{1: -8}`, the algorithm is EdDSA.
const PROTECTED: [u8; 3] = [0xa1, 0x01, 0x27];

/// COSE's label of the key's name in the unprotected header.
const KID: i64 = 4;

/// A `COSE_Sign1` without its payload. The name of the key is the signing device's id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub struct CoseSignature {
    /// Who signed.
    pub device: DeviceId,
    signature: [u8; 64],
}

impl CoseSignature {
    /// The four parts as CBOR: `[protected, {4: device}, nil, signature]`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        cbor::encode(&Value::from(self.clone()))
    }
}

impl From<CoseSignature> for Value {
    fn from(signature: CoseSignature) -> Self {
        Self::Array(vec![
            Self::Bytes(PROTECTED.to_vec()),
            Self::Map(vec![(
                Self::Integer(KID.into()),
                Self::Bytes(signature.device.as_bytes().to_vec()),
            )]),
            Self::Null,
            Self::Bytes(signature.signature.to_vec()),
        ])
    }
}

impl TryFrom<Value> for CoseSignature {
    type Error = &'static str;

    fn try_from(value: Value) -> Result<Self, Self::Error> {
        const SHAPE: &str = "expected a COSE_Sign1 with EdDSA, a device's id and a detached payload";
        let Value::Array(parts) = value else {
            return Err(SHAPE);
        };
        let [
            Value::Bytes(protected),
            Value::Map(unprotected),
            Value::Null,
            Value::Bytes(signature),
        ] = parts.as_slice()
        else {
            return Err(SHAPE);
        };
        let [(Value::Integer(label), Value::Bytes(device))] = unprotected.as_slice() else {
            return Err(SHAPE);
        };
        if protected.as_slice() != PROTECTED || *label != KID.into() {
            return Err(SHAPE);
        }
        let device: [u8; 16] = device.as_slice().try_into().map_err(|_| SHAPE)?;
        Ok(Self {
            device: DeviceId::from_bytes(device),
            signature: signature.as_slice().try_into().map_err(|_| SHAPE)?,
        })
    }
}

/// The bytes that are signed: RFC 9052's `Sig_structure`.
fn sig_structure(external: &[u8], payload: &[u8]) -> Vec<u8> {
    cbor::encode(&Value::Array(vec![
        Value::Text("Signature1".to_owned()),
        Value::Bytes(PROTECTED.to_vec()),
        Value::Bytes(external.to_vec()),
        Value::Bytes(payload.to_vec()),
    ]))
}

/// Signs `payload` and `external` data.
pub(crate) fn sign(keys: &DeviceKeys, external: &[u8], payload: &[u8]) -> CoseSignature {
    CoseSignature {
        device: keys.id(),
        signature: keys.sign_plain(&sig_structure(external, payload)),
    }
}

/// Checks that a device of `devices` which speaks for the principal at `now` signed it.
pub(crate) fn verify(
    signature: &CoseSignature,
    devices: &DeviceList,
    external: &[u8],
    payload: &[u8],
    now: UnixMillis,
) -> Result<DeviceId, DeviceListError> {
    let device = signature.device;
    let entry = devices.device(&device).ok_or(DeviceListError::NotListed(device))?;
    if entry.not_after <= now {
        return Err(DeviceListError::Ended(device));
    }
    if !verify_plain(&entry.signing, &sig_structure(external, payload), &signature.signature) {
        return Err(DeviceListError::NotByDevice(device));
    }
    Ok(device)
}
