//! Errors as clients see them: a number of JSON-RPC, a message for people, and a stable kind for programs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What kind of error. The texts are the stable contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The line is no JSON.
    ParseError,
    /// The object is no request.
    InvalidRequest,
    /// There is no such method.
    MethodNotFound,
    /// The parameters do not fit.
    InvalidParams,
    /// Something went wrong inside.
    Internal,
    /// There is no such thing.
    NotFound,
    /// It is not granted.
    Denied,
    /// Nobody could be reached.
    Unreachable,
    /// Its time is over.
    Expired,
    /// Its uses are spent.
    UsedUp,
    /// It collides with something that is there.
    Conflict,
    /// The invite cannot be read.
    InvalidInvite,
    /// It is larger than may be.
    TooLarge,
    /// A table is full, or too much came at once.
    RateLimited,
    /// The node is on its way out.
    ShuttingDown,
}

impl Kind {
    /// The number that JSON-RPC wants: its own for faults of the protocol, ours from 1 on.
    #[must_use]
    pub const fn code(self) -> i32 {
        match self {
            Self::ParseError => -32700,
            Self::InvalidRequest => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::Internal => -32603,
            Self::NotFound => 1,
            Self::Denied => 2,
            Self::Unreachable => 3,
            Self::Expired => 4,
            Self::UsedUp => 5,
            Self::Conflict => 6,
            Self::InvalidInvite => 7,
            Self::TooLarge => 8,
            Self::RateLimited => 9,
            Self::ShuttingDown => 10,
        }
    }

    /// Whether the same call may succeed later.
    #[must_use]
    pub const fn retryable(self) -> bool {
        matches!(
            self,
            Self::Unreachable | Self::RateLimited | Self::ShuttingDown | Self::Internal
        )
    }

    /// The text, as in JSON.
    #[must_use]
    pub fn text(self) -> String {
        serde_json::to_value(self)
            .ok()
            .and_then(|value| value.as_str().map(str::to_owned))
            .unwrap_or_default()
    }
}

/// An error object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// A number.
    pub code: i32,
    /// For people.
    pub message: String,
    /// For programs.
    pub data: ErrorData,
}

/// What programs act on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ErrorData {
    /// The stable kind.
    pub kind: Kind,
    /// Whether the same call may succeed later.
    pub retryable: bool,
    /// What to do about it, where there is something.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub hint: Option<String>,
}

impl RpcError {
    /// An error of this kind.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            code: kind.code(),
            message: message.into(),
            data: ErrorData {
                kind,
                retryable: kind.retryable(),
                hint: None,
            },
        }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.data.hint = Some(hint.into());
        self
    }
}
