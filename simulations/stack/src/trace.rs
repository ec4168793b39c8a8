//! What happened, in order, as one hash: two runs are the same if theirs are. Every event of every network, every row that a core
//! writes, every answer to a command, and every byte that crosses a link goes into it, with its virtual time.

use crate::os;
use sha2::{Digest, Sha256};
use std::fmt::{self, Write as _};
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

/// The record of a run. Cheap to clone.
#[derive(Clone)]
pub struct Trace {
    inner: Arc<Mutex<Inner>>,
}

struct Inner {
    hash: Sha256,
    lines: u64,
    line: String,
    /// Where lines are written, for whoever looks for where two runs part.
    copy: Option<std::io::BufWriter<std::fs::File>>,
}

impl fmt::Debug for Trace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Trace")
    }
}

impl Trace {
    /// An empty one; its lines go to this file as well.
    #[must_use]
    pub fn new(copy: Option<std::fs::File>) -> Self {
        Self {
            inner: Arc::new(Mutex::new(Inner {
                hash: Sha256::new(),
                lines: 0,
                line: String::new(),
                copy: copy.map(std::io::BufWriter::new),
            })),
        }
    }

    /// Something happened at a machine.
    pub fn note(&self, machine: u32, what: fmt::Arguments<'_>) {
        self.line(machine, what, &[]);
    }

    /// Bytes crossed a link.
    pub(crate) fn bytes(&self, machine: u32, what: fmt::Arguments<'_>, bytes: &[u8]) {
        self.line(machine, what, bytes);
    }

    fn line(&self, machine: u32, what: fmt::Arguments<'_>, bytes: &[u8]) {
        let now = os::elapsed().as_micros();
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let inner = &mut *inner;
        inner.line.clear();
        // A string takes everything.
        let _ = writeln!(inner.line, "{now} {machine} {what}");
        inner.hash.update(inner.line.as_bytes());
        inner.hash.update(bytes);
        inner.lines += 1;
        if let Some(copy) = &mut inner.copy {
            // Only the copy is lost.
            let _ = copy.write_all(inner.line.as_bytes());
        }
    }

    /// The hash of all so far, in hexadecimal, and of how many lines it is.
    #[must_use]
    pub fn so_far(&self) -> (String, u64) {
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::new();
        for byte in inner.hash.clone().finalize() {
            let _ = write!(text, "{byte:02x}");
        }
        (text, inner.lines)
    }
}
