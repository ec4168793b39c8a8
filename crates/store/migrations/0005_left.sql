-- In the relay role: records that owners of mailboxes leave here while they are away.

CREATE TABLE left_here (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of mailbox and address
    value BLOB NOT NULL
) STRICT;
