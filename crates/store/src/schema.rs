//! Opening the database file, and bringing its schema up to date by numbered migrations.

use crate::error::OpenError;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;
use std::time::Duration;

/// The migrations, each from the schema of its index to the next.
const MIGRATIONS: [&str; 5] = [
    include_str!("../migrations/0001_first.sql"),
    include_str!("../migrations/0002_removal.sql"),
    include_str!("../migrations/0003_mailboxes.sql"),
    include_str!("../migrations/0004_messages.sql"),
    include_str!("../migrations/0005_left.sql"),
];

/// The newest schema.
pub(crate) const SCHEMA: u32 = 5;

/// How long a connection waits for another one's lock: only a reader can meet the writer, and briefly.
const BUSY: Duration = Duration::from_secs(10);

/// Opens the file for writing, in WAL mode, with the newest schema.
pub(crate) fn open(path: &Path, create: bool) -> Result<Connection, OpenError> {
    let failed = |what| move |source| sqlite(path, what, source);
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if create {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let mut connection = Connection::open_with_flags(path, flags).map_err(failed("opened"))?;
    connection.busy_timeout(BUSY).map_err(failed("opened"))?;
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .map_err(failed("opened"))?;
    connection
        .pragma_update(None, "synchronous", "FULL")
        .map_err(failed("opened"))?;
    // Keys that were replaced are not to be found in what a page had before.
    connection
        .pragma_update(None, "secure_delete", "ON")
        .map_err(failed("opened"))?;
    migrate(&mut connection, path)?;
    Ok(connection)
}

/// Opens the file for reading, beside the one that writes.
pub(crate) fn open_reader(path: &Path) -> Result<Connection, rusqlite::Error> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(BUSY)?;
    Ok(connection)
}

fn migrate(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let failed = |what| move |source| sqlite(path, what, source);
    let found: u32 = connection
        .pragma_query_value(None, "user_version", |row| row.get(0))
        .map_err(failed("read"))?;
    if found > SCHEMA {
        return Err(OpenError::Newer {
            path: path.to_owned(),
            found,
            known: SCHEMA,
        });
    }
    for (version, migration) in (1_u32..)
        .zip(MIGRATIONS)
        .skip(usize::try_from(found).unwrap_or(usize::MAX))
    {
        let transaction = connection.transaction().map_err(failed("migrated"))?;
        transaction.execute_batch(migration).map_err(failed("migrated"))?;
        transaction
            .pragma_update(None, "user_version", version)
            .map_err(failed("migrated"))?;
        transaction.commit().map_err(failed("migrated"))?;
    }
    Ok(())
}

pub(crate) fn sqlite(path: &Path, what: &'static str, source: rusqlite::Error) -> OpenError {
    OpenError::Sqlite {
        path: path.to_owned(),
        what,
        source,
    }
}
