//! No error is logged: what the cores log at that level is kept for the checks. The rest is dropped.

use std::cell::RefCell;
use std::fmt;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

thread_local! {
    static LOGGED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Takes what is logged on this thread, while it lives.
#[derive(Debug)]
pub struct ErrorWatch {
    _guard: tracing::subscriber::DefaultGuard,
}

impl ErrorWatch {
    /// Begins to watch.
    #[must_use]
    pub fn begin() -> Self {
        LOGGED.take();
        Self {
            _guard: tracing::subscriber::set_default(Watcher),
        }
    }

    /// What was logged since it was last asked.
    #[must_use]
    pub fn take() -> Vec<String> {
        LOGGED.take()
    }
}

struct Watcher;

impl Subscriber for Watcher {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        *metadata.level() == Level::ERROR
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut line = Line(event.metadata().target().to_owned());
        event.record(&mut line);
        LOGGED.with_borrow_mut(|logged| logged.push(line.0));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.push_str(&format!(" {}={value:?}", field.name()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_kept_and_nothing_else() {
        let _watch = ErrorWatch::begin();
        tracing::warn!("odd");
        assert!(ErrorWatch::take().is_empty());
        tracing::error!(code = 7, "broken");
        let logged = ErrorWatch::take();
        assert_eq!(logged.len(), 1);
        assert!(
            logged[0].contains("broken") && logged[0].contains("code=7"),
            "{logged:?}"
        );
    }
}
