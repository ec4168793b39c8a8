//! Every bound on what comes from outside, each with its reason.

/// Bytes of an address's text: long enough for a DNS name with port and path.
pub const ADDRESS_BYTES: usize = 256;

/// Bytes of one frame on a stream: the largest envelope (64 KiB) with room for its admission.
pub const FRAME_BYTES: usize = 96 * 1024;

/// The sizes a beacon can have in bytes. A presence document with a note fits the first, a card the second or third; three
/// classes tell an observer little.
pub const BEACON_CLASSES: [usize; 3] = [1024, 2048, 4096];

/// How far ahead a presence beacon's certificate may end: a day that has just begun, the next one, and an hour of
/// overlap with the day after, so that a leaving node can publish tomorrow's closing record.
pub const PRESENCE_AHEAD: u64 = 50 * 3_600_000;

/// How far ahead a card beacon's certificate may end: an epoch of 30 days, and some days to be put again.
pub const CARD_AHEAD: u64 = 35 * 86_400_000;

/// Bytes of an identity sheet: a full device list, a statement, two signatures.
pub const SHEET_BYTES: usize = 4_096;

/// How far ahead an identity sheet may expire, as far as a card: it is put again long before.
pub const SHEET_AHEAD: u64 = CARD_AHEAD;

/// Slots of one epoch: devices that publish side by side.
pub const SLOTS: u8 = 8;

/// Characters of a name that somebody gives themselves.
pub const NAME_CHARACTERS: usize = 64;

/// Devices in a list: a person's, not a fleet's.
pub const DEVICES: usize = 8;

/// Addresses of a node in a card: a few interfaces with two transports each.
pub const ADDRESSES: usize = 8;

/// Addresses of a node in a presence record: half as many as in a card, because a record is sent every minute, and should fit
/// the first size of beacons.
pub const VIEW_ADDRESSES: usize = 4;

/// Relays in a presence record: one that answers, and one more.
pub const VIEW_RELAYS: usize = 2;

/// Relays in a card or list of relays.
pub const RELAYS: usize = 32;

/// Nodes named in an invite. Two fit a QR code that a phone reads from a screen.
pub const REACH: usize = 4;

/// Bytes of an invite's text, generously: two addresses of the longest kind make some 1,400.
pub const INVITE_CHARACTERS: usize = 4_096;

/// Bytes of a payload in a beacon: no more than the largest class holds.
pub const PAYLOAD_BYTES: usize = 4_096;

/// Bytes of a signed letter: with two cards' worth of keys it stays below a tenth of this.
pub const LETTER_BYTES: usize = 64 * 1024;

/// Presence tuples in a document (RFC 2778 section 2.4): a means of communication each.
pub const TUPLES: usize = 8;

/// Notes in one place of a document: languages one writes in.
pub const NOTES: usize = 8;

/// Bytes of a note's text. Tox has 1,007 for the same purpose; a class of 1,024 bytes should hold a usual one.
pub const NOTE_BYTES: usize = 512;

/// Bytes of a language tag (BCP 47).
pub const LANGUAGE_BYTES: usize = 35;

/// Activities (RPID, RFC 4480 section 3.2) at once.
pub const ACTIVITIES: usize = 8;

/// Values of a mood or of a kind of place at once (RPID, RFC 4480 sections 3.5 and 3.7).
pub const RPID_VALUES: usize = 8;

/// Contact details in a document: a small vCard's worth.
pub const DETAILS: usize = 16;

/// Bytes of a contact detail's value: a postal address, or a long URL.
pub const DETAIL_BYTES: usize = 256;

/// Bytes of the name of an activity, a mood, a kind of place, a contact detail or a tuple.
pub const TOKEN_BYTES: usize = 64;

/// Bytes of a communication address (a URI).
pub const URI_BYTES: usize = 256;

/// The longest lease of a presence record, in milliseconds: a day, the longest its address is in use.
pub const LEASE_MAX: u64 = 86_400_000;

/// Unknown fields kept in one place of a document.
pub const EXTENSIONS: usize = 16;

/// Addresses one connection may follow: a few hundred contacts with two epochs each.
pub const FOLLOWED: usize = 512;

/// Of them, those that an ordinary node looks at, and that are asked of a presentity's own node: it has one principal, whose view
/// stands at two addresses at a time. So a stranger's list costs a few proofs to try, and not hundreds.
pub const FOLLOWED_DIRECTLY: usize = 16;

/// Arrays and maps inside one another in an unknown field: what our own objects need, and as much again.
pub const EXTENSION_DEPTH: usize = 4;

/// Mailboxes in a card: two relays, so that one may be down, and as many again while one takes another's place.
pub const MAILBOXES: usize = 4;

/// Stamps for one mailbox in one letter or invite record: with them some thousand short messages can be left for one who is away,
/// before they have answered. Even with four mailboxes the letter stays in the class of 16 KiB.
pub const STAMPS: usize = 64;

/// Mailboxes that one may register with one voucher: as many as an invite has uses.
pub const VOUCHER_USES: u8 = 100;

/// Numbers in one operation on a mailbox: what is worked off at once.
pub const MAILBOX_BATCH: usize = 32;

/// Envelopes named in one list of a mailbox: some four kilobytes.
pub const MAILBOX_LISTED: usize = 256;

/// Records left with a relay in one operation: a week's of five views, and a third of the largest frame.
pub const LEFT_BATCH: usize = 32;

/// Bytes of envelopes in one answer of a mailbox: one of the largest, with room for small ones beside it, below [`FRAME_BYTES`].
pub const MAILBOX_ANSWER_BYTES: usize = 80 * 1024;

/// Letters whose arrival is confirmed in one letter.
pub const LETTERS_TAKEN: usize = 64;

/// How far a clock may be behind the one that dated a grant or a device list, in milliseconds.
pub const SKEW: u64 = 5 * 60_000;

/// Passing a grant on more often than this is not foreseen.
pub const GRANT_DEPTH: u8 = 3;

/// Bytes of a message with everything that is in it: sealed, it fits into the largest envelope (64 KiB), with room for the
/// sender's devices beside it.
pub const MESSAGE_BYTES: usize = 56 * 1024;

/// Bytes of what one Olm message carries: a message, both sides' names and some ids.
pub const PLAINTEXT_BYTES: usize = 60 * 1024;

/// Forms of one message's content: plain text, and richer ones beside it.
pub const BODIES: usize = 4;

/// Addresses to answer to.
pub const REPLY_ADDRESSES: usize = 4;

/// Bytes of a message's subject: two lines of text.
pub const SUBJECT_BYTES: usize = 256;

/// Bytes of a media type with its parameters (RFC 6838 allows 127 for each of its names).
pub const MEDIA_TYPE_BYTES: usize = 255;

/// Further headers of a message.
pub const HEADERS: usize = 16;

/// Bytes of a header's name.
pub const HEADER_NAME_BYTES: usize = 64;

/// Bytes of a header's value.
pub const HEADER_BYTES: usize = 1_024;

/// How long a message may be of use, in milliseconds. The keys that open a first message are kept for longer than that.
pub const MESSAGE_LIFE: u64 = 14 * 86_400_000;

/// Olm messages in one envelope: whoever misses one such envelope altogether can still open what follows it, since Olm keeps
/// forty keys of what was skipped.
pub const BATCH: usize = 32;

/// The sizes that Olm messages without an envelope are padded to: on a connection whose length field an observer can count, a
/// short one, a receipt and a line of text look alike.
pub const DIRECT_CLASSES: [usize; 6] = [512, 1024, 2 * 1024, 4 * 1024, 16 * 1024, 64 * 1024];

/// Messages named as gone in one Olm message: who cancels more at once leaves gaps that are shown.
pub const GONE: usize = 32;

/// Messages confirmed in one Olm message: a busy minute.
pub const RECEIPTS: usize = 256;
