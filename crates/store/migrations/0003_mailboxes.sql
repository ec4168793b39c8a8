-- Mailboxes: ours at relays, what is on its way to those of others, and, in the relay role, those that are kept here.

CREATE TABLE mailboxes (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the mailbox
    value BLOB NOT NULL
) STRICT;

CREATE TABLE stamps (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the principal
    value BLOB NOT NULL
) STRICT;

CREATE TABLE parcels (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the random id
    value BLOB NOT NULL
) STRICT;

CREATE TABLE taken (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of principal and letter
    value BLOB NOT NULL
) STRICT;

CREATE TABLE kept (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the mailbox
    value BLOB NOT NULL
) STRICT;

CREATE TABLE deposits (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of mailbox and number
    value BLOB NOT NULL
) STRICT;

-- Read one by one when they are given out; never loaded into memory together.
CREATE TABLE bodies (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of mailbox and number
    value BLOB NOT NULL
) STRICT;

CREATE TABLE spent (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of mailbox and mark
    value BLOB NOT NULL
) STRICT;
