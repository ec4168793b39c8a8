//! Failures that a person or a script can act on: what kind, what happened, what to do.
//!
//! Anything that goes wrong inside a command ends here before it is shown; other errors are shown with their chain of causes.

use porchlight_rpc::client::ClientError;
use porchlight_rpc::{Kind, RpcError};

/// What scripts tell failures apart by. The numbers are the process's exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Something else.
    Failed = 1,
    /// The command line or a parameter cannot be used.
    Usage = 2,
    /// No node runs for this home.
    NotRunning = 3,
    /// It is not granted.
    Denied = 4,
    /// There is no such thing, or no longer.
    NotFound = 5,
    /// Nobody could be reached, or nobody answered in time.
    Unreachable = 6,
    /// The node does not do all that it should.
    Degraded = 7,
    /// It collides with something that is there.
    Conflict = 8,
}

/// A failure with its kind and what to do about it.
#[derive(Debug)]
pub struct Failure {
    /// For scripts.
    pub exit: Exit,
    /// For programs: the kind as in the API.
    pub kind: String,
    /// What happened.
    pub message: String,
    /// What to do.
    pub hint: Option<String>,
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl Failure {
    /// A failure of this kind.
    #[must_use]
    pub fn new(exit: Exit, kind: &str, message: impl Into<String>) -> Self {
        Self {
            exit,
            kind: kind.to_owned(),
            message: message.into(),
            hint: None,
        }
    }

    /// With what to do about it.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// What any error is to the one who reads it.
    #[must_use]
    pub fn of(error: &anyhow::Error) -> Self {
        let message = told(error);
        let known = error.chain().find_map(|cause| cause.downcast_ref::<Self>());
        if let Some(failure) = known {
            return Self {
                exit: failure.exit,
                kind: failure.kind.clone(),
                message,
                hint: failure.hint.clone(),
            };
        }
        match error.chain().find_map(|cause| cause.downcast_ref::<ClientError>()) {
            Some(ClientError::Refused(refused)) => Self::refused(refused, message),
            Some(ClientError::NotRunning(_)) => Self::new(Exit::NotRunning, "not_running", message),
            Some(ClientError::Closed | ClientError::Broken(_)) => Self::new(Exit::NotRunning, "not_running", message)
                .hint("the node has stopped; what it printed says why"),
            Some(ClientError::Unreadable(_)) | None => Self::new(Exit::Failed, "failed", message),
        }
    }

    fn refused(error: &RpcError, message: String) -> Self {
        Self {
            exit: exit(error.data.kind),
            kind: error.data.kind.text(),
            message,
            hint: error.data.hint.clone(),
        }
    }
}

/// An error with its causes. Where one says already what caused it, that is not said again.
fn told(error: &anyhow::Error) -> String {
    let mut message = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if message.is_empty() {
            message = cause;
        } else if !message.contains(&cause) {
            message.push_str(&format!(": {cause}"));
        }
    }
    message
}

const fn exit(kind: Kind) -> Exit {
    match kind {
        Kind::NotFound | Kind::Expired | Kind::UsedUp => Exit::NotFound,
        Kind::Denied => Exit::Denied,
        Kind::Unreachable => Exit::Unreachable,
        Kind::Conflict => Exit::Conflict,
        Kind::InvalidParams | Kind::InvalidInvite | Kind::MethodNotFound | Kind::TooLarge => Exit::Usage,
        Kind::ParseError | Kind::InvalidRequest | Kind::Internal | Kind::RateLimited | Kind::ShuttingDown => {
            Exit::Failed
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::{Context, anyhow};

    #[derive(Debug)]
    struct Unread {
        source: std::io::Error,
    }

    impl std::fmt::Display for Unread {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "the key file cannot be read: {}", self.source)
        }
    }

    impl std::error::Error for Unread {
        fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
            Some(&self.source)
        }
    }

    #[test]
    fn a_cause_is_said_once() {
        let source = std::io::Error::other("no such file");
        let error = anyhow!(Unread { source });
        assert_eq!(told(&error), "the key file cannot be read: no such file");
        let error = Err::<(), _>(error).context("the home cannot be opened").unwrap_err();
        assert_eq!(
            told(&error),
            "the home cannot be opened: the key file cannot be read: no such file"
        );
    }
}
