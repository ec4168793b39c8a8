-- What outlives the removal of a contact: whom it is still to be told, and the last records of the generations that ended.

CREATE TABLE former (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the principal
    value BLOB NOT NULL
) STRICT;

CREATE TABLE closings (
    id    BLOB NOT NULL PRIMARY KEY, -- hash of the record's address
    value BLOB NOT NULL
) STRICT;
