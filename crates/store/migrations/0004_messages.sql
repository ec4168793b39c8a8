-- Instant messages: the Olm account is a single row of `node`.

CREATE TABLE sessions (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of device and session
    value BLOB NOT NULL
) STRICT;

CREATE TABLE outbox (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the message's id
    value BLOB NOT NULL
) STRICT;

-- Messages of the outbox as they are sent: the same bytes at each try.
CREATE TABLE sealed (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the message's id
    value BLOB NOT NULL
) STRICT;

CREATE TABLE conversations (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the principal
    value BLOB NOT NULL
) STRICT;

-- Which messages were accepted, until they have expired.
CREATE TABLE seen (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of device and message
    value BLOB NOT NULL
) STRICT;

-- Messages that came before the one that they follow.
CREATE TABLE held (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of device and message
    value BLOB NOT NULL
) STRICT;

-- Messages for good, in the order in which they were written or shown.
CREATE TABLE messages (
    number  INTEGER NOT NULL PRIMARY KEY,
    id      BLOB    NOT NULL, -- hash of the message's id
    contact BLOB    NOT NULL, -- hash of the principal
    value   BLOB    NOT NULL
) STRICT;
CREATE INDEX messages_by_id ON messages (id);
CREATE INDEX messages_by_contact ON messages (contact, number);

-- How far messages of our own have come, by their numbers.
CREATE TABLE message_states (
    number INTEGER NOT NULL PRIMARY KEY,
    value  BLOB    NOT NULL
) STRICT;
