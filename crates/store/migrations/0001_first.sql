-- Values are sealed: XChaCha20-Poly1305 under a key derived for each table, bound to table and row.
-- Keys that would name people (principals, petnames) are stored as keyed hashes.

CREATE TABLE node (
    -- 'identity', 'transport', 'own' or 'ceiling': single rows.
    name  TEXT NOT NULL PRIMARY KEY,
    value BLOB NOT NULL
) STRICT;

CREATE TABLE views (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the name
    value BLOB NOT NULL
) STRICT;

CREATE TABLE invites (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the random id
    value BLOB NOT NULL
) STRICT;

CREATE TABLE contacts (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the principal
    value BLOB NOT NULL
) STRICT;

CREATE TABLE letters (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the random id
    value BLOB NOT NULL
) STRICT;

CREATE TABLE observed (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the principal
    value BLOB NOT NULL
) STRICT;

CREATE TABLE events (
    number INTEGER NOT NULL PRIMARY KEY, -- strictly increasing
    value  BLOB NOT NULL
) STRICT;

CREATE TABLE consumers (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the name
    value BLOB NOT NULL
) STRICT;

CREATE TABLE answers (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the idempotency key
    value BLOB NOT NULL
) STRICT;
