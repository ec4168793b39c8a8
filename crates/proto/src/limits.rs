//! Every bound of the core, with its reason. Bounds on single objects are in `porchlight_wire::limits`.

use crate::rows::Tier;
use porchlight_wire::stamp::Class;

/// How long a stamp of ours is good: a contact we hear of once in a season still has some.
pub const STAMP_LIFE: u64 = 90 * DAY;

/// Stamps in a letter that grants or introduces, for each mailbox.
pub const STAMPS_GIVEN: usize = porchlight_wire::limits::STAMPS;

/// Stamps kept for one mailbox of a contact.
pub const STAMPS_KEPT: usize = 2 * STAMPS_GIVEN;

/// With fewer than this the contact is asked for more: early, since one who is away answers only when they are back.
pub const STAMPS_LOW: usize = STAMPS_GIVEN * 3 / 4;

/// Mailboxes of one contact in which an envelope is left: two, so that one relay may be down, or lie.
pub const POST_RELAYS: usize = 2;

/// Envelopes on their way to mailboxes: each letter in two.
pub const PARCELS: usize = 2 * LETTERS;

/// After so long an envelope that is stored is left anew, whatever its relay says: as long as a letter is offered.
pub const PARCEL_LIFE: u64 = LETTER_LIFE;

/// Envelopes that are being left at once.
pub const PARCELS_IN_FLIGHT: usize = 16;

/// Proofs of work for envelopes under way at once. They share one worker with those for records.
pub const PARCEL_WORKS: usize = 2;

/// Longest wait before an envelope is offered to a relay again: one that is full, or away, for long.
pub const POST_RETRY_LAST: u64 = 3_600_000;

/// The least time between two dials of a contact for whom everything waits in mailboxes.
pub const STORED_RETRY: u64 = 6 * 3_600_000;

/// How often a mailbox is looked into although its relay did not say that something arrived.
pub const COLLECT_EVERY: u64 = 900_000;

/// The least time between two visits to a mailbox.
pub const COLLECT_AGAIN: u64 = 1_000;

/// How often a mailbox is looked into in one visit: with 32 envelopes each time more than one can hold, so that a relay that
/// goes on naming new ones is left at some point.
pub const COLLECT_ROUNDS: u32 = 64;

/// How long the relay of a mailbox may be away before another one is looked for.
pub const RELAY_PATIENCE: u64 = 3 * DAY;

/// Letters out of mailboxes that are remembered, so that they are not taken twice: so many, and as long as one is offered.
pub const TAKEN: usize = 8_192;

/// Relays that the user put before others.
pub const CHOSEN_RELAYS: usize = 8;

/// Mailboxes that a relay keeps: each is a row in memory, and may fill its quota.
pub const KEPT_MAILBOXES: usize = 4_096;

/// Mailboxes for which nothing but work speaks. The rest is for those whom somebody knows.
pub const WORKED_MAILBOXES: usize = 1_024;

/// Those mailboxes have together no more than one part in so many of a relay's room.
pub const WORKED_SHARE: u64 = 4;

/// Mailboxes that the owner of one can vouch for: friends, not a crowd.
pub const VOUCHED_EACH: usize = 32;

/// Days for which a leaving node makes closing records: as long as what waits for it is kept.
pub const AWAY_DAYS: u64 = 7;

/// How far ahead a record that is left with a relay may begin to stand: the last of those days, and one for where days begin.
pub const LEFT_AHEAD: u64 = (AWAY_DAYS + 1) * DAY;

/// Records that the owner of a mailbox may leave: a week's of some thirty views.
pub const LEFT_EACH: usize = 192;

/// The same where nothing but work speaks for the mailbox: of eight views.
pub const LEFT_WORKED: usize = 48;

/// Records that all owners may leave: eight mebibytes, which a relay has in memory.
pub const LEFT: usize = 8_192;

/// Left records that are put in one step.
pub const LEFT_AT_ONCE: usize = 16;

/// Within how many milliseconds of the time they stand from left records are put, each at a moment of its own: within the hour in
/// which the addresses of two days are in use.
pub const LEFT_SPREAD: u64 = EPOCH_OVERLAP;

/// How long a mailbox is kept after it was registered. Its owner registers it again long before.
pub const MAILBOX_LIFE: u64 = 30 * DAY;

/// How long an envelope is kept: as long as the keys that open it are promised to be there.
pub const KEPT_FOR: u64 = 7 * DAY;

/// How far ahead a stamp may end: what admitted an envelope is remembered as long.
pub const STAMP_AHEAD: u64 = 120 * DAY;

/// Stamps of one mailbox that are remembered as spent: some weeks of a full mailbox.
pub const SPENT_EACH: usize = 4_096;

/// Mailboxes of one node that a relay remembers for telling it: twice those that a node has.
pub const OWNED_EACH: usize = 8;

/// Envelopes that one node may leave at once, for whomever...
pub const DEPOSIT_BURST: u64 = 64;

/// ...and one more each time so many milliseconds have passed.
pub const DEPOSIT_REFILL: u64 = 1_000;

/// Nodes whose pace is remembered.
pub const DEPOSITORS: usize = 4_096;

/// The longest wait before an owner who had no room for it is told again that something has arrived in their mailbox.
pub const NOTICE_RETRY_LAST: u64 = 60_000;

/// How often it is looked whether something is over.
pub const SWEEP_EVERY: u64 = 600_000;

/// Envelopes, and stamps, that are deleted in one step.
pub const SWEEP_AT_ONCE: usize = 256;

/// How many envelopes of a class a mailbox may hold, and how many bytes. A letter has 4 or 16 KiB, a message usually 2.
/// What strangers may leave is little: it is worth nothing to fill it.
#[must_use]
pub const fn mailbox_quota(tier: &Tier, class: Class) -> (u32, u64) {
    const MIB: u64 = 1 << 20;
    match (tier, class) {
        (Tier::Listed, Class::Contact) => (1_000, 16 * MIB),
        (Tier::Vouched { .. }, Class::Contact) => (500, 8 * MIB),
        (Tier::Worked, Class::Contact) => (200, 2 * MIB),
        (_, Class::Invited) => (64, MIB),
        (Tier::Listed | Tier::Vouched { .. }, Class::Stranger) => (32, MIB / 2),
        (Tier::Worked, Class::Stranger) => (16, MIB / 4),
    }
}

/// Contacts. Hundreds is what RFC 2779 2.2.4 asks for; the tables of a node stay a few megabytes at this many.
pub const CONTACTS: usize = 1_000;

/// Views. One for each contact is possible; who wants more than a few has to remember them.
pub const VIEWS: usize = 256;

/// Removed contacts that are still to be told.
pub const FORMER: usize = CONTACTS;

/// Milliseconds between the end of a generation and the record that says so: those who are moved on, and are there, hold
/// the next one by then.
pub const CLOSING_DELAY: u64 = 3_000;

/// How long an identity sheet may be kept: it is put again every [`LONG_REFRESH`], and whoever is away longer than this is
/// found by nobody who has only their id.
pub const SHEET_LIFE: u64 = 30 * DAY;

/// How often it is looked whether a grant has to be renewed.
pub const RENEWAL_CHECK: u64 = 6 * 3_600_000;

/// How long before its end a grant of ours is renewed.
pub const RENEW_GIVE: u64 = 60 * DAY;

/// How long before its end we ask for a grant of theirs to be renewed: they did not do so by themselves.
pub const RENEW_ASK: u64 = 30 * DAY;

/// The least time between two requests for renewal to one contact.
pub const RENEW_SPACING: u64 = DAY;

/// Invites kept at once. Each costs two records in the DHT while it lives.
pub const INVITES: usize = 64;

/// Uses of one invite. Who wants more wants to be public.
pub const INVITE_USES: u32 = 100;

/// The shortest life of an invite: enough to paste it.
pub const INVITE_LIFE_MIN: u64 = 60_000;

/// The longest life of an invite. An invite record has to fit into the life of a card beacon (35 days).
pub const INVITE_LIFE_MAX: u64 = 30 * DAY;

/// Letters that wait to be delivered: for every contact a grant, a request, an end and one about mailboxes.
pub const LETTERS: usize = 4 * CONTACTS;

/// How long a letter is offered before it is given up.
pub const LETTER_LIFE: u64 = 30 * DAY;

/// Letters on their way at once. Each may need a dial; the rest wait their turn.
pub const LETTERS_IN_FLIGHT: usize = 16;

/// Characters of a name that others or the user give. Mirrors the bound on names in letters.
pub const NAME_CHARACTERS: usize = 64;

/// Named consumers of events.
pub const CONSUMERS: usize = 64;

/// Events kept. At ten changes an hour from each of 20 contacts this is two days.
pub const EVENTS: u64 = 10_000;

/// How many events above [`EVENTS`] may pile up before the oldest are dropped, so that not every event drops one.
pub const EVENTS_SLACK: u64 = 500;

/// Answers remembered for idempotency keys.
pub const ANSWERS: usize = 256;

/// How long an answer is remembered.
pub const ANSWER_LIFE: u64 = DAY;

/// Lookups under way at once. Commands beyond it are refused, background ones wait.
pub const LOOKUPS: usize = 128;

/// Lookups under way at once that nobody asked for. What is left is for commands, so that a node with hundreds of
/// contacts answers its user also while it starts.
pub const BACKGROUND_LOOKUPS: usize = 96;

/// How often an invite is looked up before it is taken for unknown.
pub const INVITE_TRIES: u32 = 5;

/// Contacts that are asked on a schedule. Fewer than background lookups, so that all of them can be asked at a start.
pub const POLLS: usize = 64;

/// The shortest time between two polls of one contact. A view goes into the DHT every 30 s at most.
pub const POLL_LEAST: u64 = 60_000;

/// The longest: a week.
pub const POLL_MOST: u64 = 7 * DAY;

/// Milliseconds before an invite is looked up a second time; doubled each time. Five tries take about five seconds.
pub const INVITE_RETRY: u64 = 300;

/// Beacons taken from one lookup. Two addresses, and a few versions of each.
pub const FOUND_PER_LOOKUP: usize = 64;

/// Nodes counted as live at once, more than the connection budget allows.
pub const LIVE_NODES: usize = 1_024;

/// Relays remembered as met, so that meeting them again is no reason to offer them what is published once more: as many as a node
/// meets in some days of putting records at places that change. Those met beyond it are offered nothing out of turn.
pub const MET_RELAYS: usize = 1_024;

/// Addresses of this node kept.
pub const LISTENING: usize = 16;

/// Envelopes tried for strangers: so many at once, and one more every [`STRANGER_REFILL`]. Opening one costs some 0.3 ms.
pub const STRANGER_BURST: u32 = 32;

/// Milliseconds until one more stranger's envelope may be tried.
pub const STRANGER_REFILL: u64 = 500;

/// Gossip of one view: so many records at once...
pub const GOSSIP_BURST: u32 = 5;

/// ...and one more each time so many milliseconds have passed. Forwarders ignore what comes faster.
pub const GOSSIP_REFILL: u64 = 1_000;

/// How far a record's issue time may lie ahead of our clock, in milliseconds; also what a lease is stretched by where
/// only the wall clock judges it.
pub const CLOCK_TOLERANCE: u64 = 30_000;

/// How far above the last sequence a ceiling is committed: an hour of milliseconds, so that refreshes do not each cost a
/// commit.
pub const SEQUENCE_AHEAD: u64 = 3_600_000;

/// How long both addresses are in use around the boundary of an epoch.
pub const EPOCH_OVERLAP: u64 = 3_600_000;

/// How often a record that holds without a lease (a card, an invite record, a closed record) is put again.
pub const LONG_REFRESH: u64 = 6 * 3_600_000;

/// How long a stopping node waits for its goodbye to be stored.
pub const GOODBYE_WAIT: u64 = 4_000;

/// How long a lookup that was answered counts as a live source for a view that is only in the DHT.
pub const LOOKUP_LIVE: u64 = 90_000;

/// How often a view that is only in the DHT is asked for while it is all we have.
pub const PROVISIONAL_POLL: u64 = 20_000;

/// The least time between two background lookups for one contact.
pub const LOOKUP_SPACING: u64 = 5_000;

/// For how long after its lease a record is asked for again, each time after twice the wait: some ten lookups in all.
pub const LAPSED_LOOKUPS: u64 = 3_600_000;

/// How long a grant holds unless it is renewed.
pub const GRANT_LIFE: u64 = 400 * DAY;

/// First wait before a letter is offered again, in milliseconds; doubled each time.
pub const RETRY_FIRST: u64 = 2_000;

/// Longest wait before a letter is offered again.
pub const RETRY_LAST: u64 = 300_000;

/// Characters kept of why a letter was not taken: a sentence of ours, perhaps with an address in it.
pub const FAILURE_CHARACTERS: usize = 200;

/// The least time between two puts of a card or invite record. Short, because a node learns its addresses and relays one
/// by one as it starts, and nobody new can reach it before they stand in its card.
pub const CARD_PACE: u64 = 2_000;

/// The least time between two lookups of one contact's card.
pub const CARD_SPACING: u64 = 5_000;

/// The shortest time that a status can be set for. What is shorter than the pace of gossip may be seen by nobody.
pub const TIMED_LEAST: u64 = 1_000;

/// The longest: a year off, and a day for the leap year.
pub const TIMED_MOST: u64 = 366 * DAY;

/// Statuses for a while inside one another: a call in a meeting in a holiday, and one more. All of them have to fit.
pub const TIMED_NESTED: usize = 4;

/// The longest time between two lookups of the card of a contact who is there but not connected.
pub const CARD_REPAIR_LAST: u64 = 3_600_000;

/// Reasons for which a node is not well, in one event: several for each thing that is looked at.
pub const REASONS: usize = 32;

/// Bytes of one such reason: they are words, not sentences.
pub const REASON_BYTES: usize = 64;

/// Nodes of contacts at which presence is followed directly, and relays of theirs that are remembered to be asked again. More
/// connections than that an ordinary node does not have.
pub const FOLLOWED_NODES: usize = 256;

/// Relays of contacts that are dialled or followed at, at once, while no relay of ours is there; also how many addresses of one
/// are tried. Any one of them brings what all relays gossip.
pub const OTHERS_RELAYS: usize = 3;

/// How long no relay of ours is there before those of contacts are tried: ours may be starting again.
pub const RELAYLESS_PATIENCE: u64 = 10_000;

/// How long a node that is asked to tell us something may take to answer, a dial included.
pub const ANSWER_PATIENCE: u64 = 20_000;

/// First wait before a node is asked again to tell us, in milliseconds; doubled each time.
pub const FOLLOW_RETRY_FIRST: u64 = 5_000;

/// Longest wait before a node is asked again.
pub const FOLLOW_RETRY_LAST: u64 = 600_000;

/// A day, in milliseconds.
pub const DAY: u64 = 86_400_000;

/// Messages of ours that wait to be delivered, to all contacts.
pub const OUTBOX: usize = 20_000;

/// Messages that wait for one contact: more than anybody writes to one who is away.
pub const OUTBOX_PER_CONTACT: usize = 5_000;

/// How long a message is of use unless its sender says otherwise.
pub const MESSAGE_DEFAULT_LIFE: u64 = 7 * DAY;

/// How long a fallback key is the newest. It is kept for as long again, so that whoever began with it on its last day is
/// understood as long as a message lives.
pub const FALLBACK_LIFE: u64 = porchlight_wire::limits::MESSAGE_LIFE + 2 * DAY;

/// Messages being offered at once, to all contacts.
pub const MESSAGES_IN_FLIGHT: usize = 256;

/// Messages being offered at once to one contact: less than Olm can open out of order (40).
pub const MESSAGES_IN_FLIGHT_EACH: usize = 32;

/// How long receipts wait for others to go with them: too short for a person to see, long enough for a hundred messages to be confirmed
/// at once.
pub const RECEIPTS_GATHER: u64 = 15;

/// How long a receipt is waited for before a message that was taken is offered again; doubled each time.
pub const RECEIPT_WAIT: u64 = 20_000;

/// The longest such wait.
pub const RECEIPT_WAIT_LAST: u64 = 6 * 3_600_000;

/// How long envelopes are sealed to one key.
pub const ENVELOPE_LIFE: u64 = 7 * DAY;

/// How long a key that was replaced is kept: as long as a card that names it may stand (35 days), and an envelope may wait at a
/// relay after that (7 days).
pub const ENVELOPE_KEPT: u64 = 42 * DAY;

/// Keys kept after they were replaced: those of as many weeks. Each is one more try for what is for none of them.
pub const RETIRED_KEYS: usize = 6;

/// Contacts whose cards name one node that are tried when it shows proof: it is one, or somebody plays with cards.
pub const HELLO_TRIES: usize = 8;

/// The least time between two sessions with one device given up because it cannot open what they write.
pub const RESET_SPACING: u64 = 60_000;

/// Sessions kept with one device: the one in use, one that both began at the same time, and some that what is on its way was
/// written with.
pub const SESSIONS_EACH: usize = 5;

/// Ids kept of one conversation for what may still refer to them.
pub const GONE_KEPT: usize = 256;

/// Messages of one contact that are remembered as accepted until they expire: some 1,400 a day, if they live for a week.
/// Whoever sends more has to wait.
pub const SEEN_EACH: usize = 10_000;

/// How long a message waits for the one before it: on a bad line one may be lost several times, and each time that is noticed
/// only after some twenty seconds.
pub const HOLD_BACK: u64 = 600_000;

/// Messages of one device that wait for those before them.
pub const HELD_EACH: usize = 64;

/// Messages that wait for those before them, of all contacts: each is kept in memory.
pub const HELD: usize = 1_024;

/// A message is remembered as accepted for a day at least, however soon it expires: that bounds how many one contact can bring in a day.
pub const SEEN_LEAST: u64 = DAY;

/// How long a message that comes early stays in its mailbox, for those before it to come out of another one.
pub const EARLY_WAIT: u64 = 300_000;

/// Messages that came early and are remembered so.
pub const EARLY: usize = 4_096;

/// How soon a mailbox is looked into again in which something had to stay.
pub const COLLECT_KEPT: u64 = 30_000;

/// Whoever keeps an envelope for less than this does not keep it.
pub const KEPT_LEAST: u64 = 3_600_000;

/// How often receipts are offered to one relay: for two days.
pub const RECEIPT_TRIES: u32 = 60;

/// Characters of a message's text in the event that tells of it.
pub const MESSAGE_IN_EVENT: usize = 2_000;
