//! The identity sheet: what a principal who chose to be public says under its own id, to everyone who knows it: its devices,
//! the public view, and how to reach it. In clear, and no beacon. docs/spec/sheet.md.

use crate::beacon::has_work;
use crate::blind::ReadKey;
use crate::cbor::{self, CborError};
use crate::device_list::{DeviceList, DeviceListError, SignedDeviceList};
use crate::ids::{DeviceId, PrincipalId};
use crate::keys::{DeviceKeys, labelled};
use crate::limits::{SHEET_AHEAD, SHEET_BYTES};
use crate::name::{NameError, check_name};
use crate::network::Network;
use crate::time::UnixMillis;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fmt;
use std::sync::Arc;

const LABEL: &str = "porchlight/sheet/1";
const ADDRESS: &str = "porchlight/sheet-address/1";

/// Bytes of the statement alone: ids, two keys and a name need some 300.
const STATEMENT_BYTES: usize = 1_024;

/// Where a principal's sheet is kept: SHA-256 of the id with a label, so that whoever is asked for the sheet of somebody who has
/// none learns no id by it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SheetAddress([u8; 32]);

impl SheetAddress {
    /// Of this principal's sheet.
    #[must_use]
    pub fn of(principal: &PrincipalId) -> Self {
        Self(Sha256::digest(labelled(ADDRESS, principal.as_bytes())).into())
    }

    /// By its bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Its bytes: what a proof of work is over.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Debug for SheetAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().take(4).try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// What a sheet states.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sheet {
    /// The device that signs.
    pub device: DeviceId,
    /// The higher one is the newer one.
    pub sequence: u64,
    /// When it was signed.
    pub issued: UnixMillis,
    /// Until when it may be kept.
    pub expires: UnixMillis,
    /// What everyone may know. None: the principal is no longer public, and this takes the place of what said so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub public: Option<Public>,
}

/// What everyone who knows the id may know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Public {
    /// What the principal calls itself, if it gave a name.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
    /// `A` of the public view. Its `K` follows from the principal id.
    #[serde(with = "serde_bytes")]
    pub view: [u8; 32],
    /// Reads the card.
    pub card: ReadKey,
}

impl Sheet {
    /// Signs the sheet. `work` is a nonce for which [`has_work`] holds over its [`SheetAddress`], if the network asks for work.
    #[must_use]
    pub fn sign(&self, keys: &DeviceKeys, principal: PrincipalId, devices: &SignedDeviceList, work: u64) -> Vec<u8> {
        let sheet = cbor::encode(self);
        let signature = keys.sign(LABEL, &sheet);
        cbor::encode(&SignedSheet {
            principal,
            work,
            devices: devices.clone(),
            sheet,
            signature,
        })
    }
}

/// A sheet as sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct SignedSheet {
    /// Whose: says where it is kept.
    principal: PrincipalId,
    /// The proof of work over the address.
    work: u64,
    /// The principal's devices.
    devices: SignedDeviceList,
    /// The deterministic CBOR of a [`Sheet`].
    #[serde(with = "serde_bytes")]
    sheet: Vec<u8>,
    /// The device's signature over it.
    #[serde(with = "serde_bytes")]
    signature: [u8; 64],
}

/// A sheet whose every part was verified to be its principal's. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct VerifiedSheet(Arc<Parts>);

#[derive(PartialEq, Eq)]
struct Parts {
    bytes: Box<[u8]>,
    principal: PrincipalId,
    devices: DeviceList,
    sheet: Sheet,
}

impl VerifiedSheet {
    /// Every check that a server and a reader make, cheap ones first.
    ///
    /// # Errors
    ///
    /// Says which check failed; [`SheetError::is_forgery`] says what to think of the sender.
    pub fn verify(bytes: &[u8], network: &Network, now: UnixMillis) -> Result<Self, SheetError> {
        let signed: SignedSheet = cbor::decode(bytes, SHEET_BYTES)?;
        let sheet: Sheet = cbor::decode(&signed.sheet, STATEMENT_BYTES)?;
        if sheet.expires <= now {
            return Err(SheetError::Expired(now.since(sheet.expires)));
        }
        let latest = now.plus(SHEET_AHEAD);
        if sheet.expires > latest {
            return Err(SheetError::TooEarly(sheet.expires.since(latest)));
        }
        let address = SheetAddress::of(&signed.principal);
        if !has_work(address.as_bytes(), signed.work, network.work_bits()) {
            return Err(SheetError::Work(network.work_bits()));
        }
        let devices = signed.devices.verify()?;
        if devices.principal != signed.principal {
            return Err(SheetError::OtherPrincipal);
        }
        devices.signed_by(&sheet.device, LABEL, &signed.sheet, &signed.signature, now)?;
        if let Some(public) = &sheet.public {
            if let Some(name) = &public.name {
                check_name(name)?;
            }
            ReadKey::public(&public.view, &signed.principal).map_err(|_| SheetError::View)?;
        }
        Ok(Self(Arc::new(Parts {
            bytes: bytes.into(),
            principal: signed.principal,
            devices,
            sheet,
        })))
    }

    /// The bytes, as received.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }

    /// Whose it is.
    #[must_use]
    pub fn principal(&self) -> PrincipalId {
        self.0.principal
    }

    /// Where it is kept.
    #[must_use]
    pub fn address(&self) -> SheetAddress {
        SheetAddress::of(&self.0.principal)
    }

    /// Their devices.
    #[must_use]
    pub fn devices(&self) -> &DeviceList {
        &self.0.devices
    }

    /// What it states.
    #[must_use]
    pub fn sheet(&self) -> &Sheet {
        &self.0.sheet
    }

    /// What finds and reads the public view; none if the principal is no longer public.
    #[must_use]
    pub fn view(&self) -> Option<ReadKey> {
        let public = self.0.sheet.public.as_ref()?;
        ReadKey::public(&public.view, &self.0.principal).ok()
    }

    /// SHA-256 of the bytes.
    #[must_use]
    pub fn hash(&self) -> [u8; 32] {
        Sha256::digest(&self.0.bytes).into()
    }
}

impl fmt::Debug for VerifiedSheet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sheet of {} #{}", self.0.principal.short(), self.0.sheet.sequence)
    }
}

/// Why bytes were not accepted as a sheet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    /// The bytes are no sheet.
    #[error("the sheet cannot be read: {0}")]
    Unreadable(#[from] CborError),
    /// The device list, or the device's signature, does not stand.
    #[error(transparent)]
    Devices(#[from] DeviceListError),
    /// It is somebody else's list.
    #[error("the sheet names another principal than its device list")]
    OtherPrincipal,
    /// The public view's key is none.
    #[error("the public view's key is no point of the prime-order group")]
    View,
    /// The name is none.
    #[error(transparent)]
    Name(#[from] NameError),
    /// Too few zero bits.
    #[error("expected a proof of work of {0} bits")]
    Work(u8),
    /// Its time is over.
    #[error("it expired {} s ago", .0 / 1000)]
    Expired(u64),
    /// It ends further ahead than a sheet may.
    #[error("it is too early by {} s", .0 / 1000)]
    TooEarly(u64),
}

impl SheetError {
    /// True where no honest peer can have sent these bytes. False for what clocks and delays explain.
    #[must_use]
    pub const fn is_forgery(&self) -> bool {
        match self {
            Self::Unreadable(_) | Self::OtherPrincipal | Self::View | Self::Name(_) | Self::Work(_) => true,
            Self::Devices(error) => match error {
                DeviceListError::Ended(_) => false,
                DeviceListError::Unreadable(_)
                | DeviceListError::NotByRoot
                | DeviceListError::Count(_)
                | DeviceListError::Misnamed(_)
                | DeviceListError::NotListed(_)
                | DeviceListError::NotByDevice(_) => true,
            },
            Self::Expired(_) | Self::TooEarly(_) => false,
        }
    }
}

#[cfg(test)]
#[path = "sheet/tests.rs"]
mod tests;
