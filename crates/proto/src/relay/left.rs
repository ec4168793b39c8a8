//! Records that owners of mailboxes leave here when they go: closing records of days to come. Each is put into the DHT, and told to
//! those who are there, when its day begins, so that whoever asks within a week learns that its presentity is away, and since when.
//! They can be checked here and not read. Called by the core for operations on mailboxes and after every input.

use crate::clock::Instant;
use crate::input::PutId;
use crate::limits::{LEFT, LEFT_AHEAD, LEFT_AT_ONCE, LEFT_EACH, LEFT_SPREAD, LEFT_WORKED, RETRY_LAST};
use crate::node::Node;
use crate::relay::Mailkeeping;
use crate::rows::{KeptRow, LeftRow, Tier};
use crate::step::{Effect, Write};
use porchlight_wire::beacon::{BEACON_LEAST, BeaconError, VerifiedBeacon};
use porchlight_wire::blind::{BlindedKey, Kind};
use porchlight_wire::frame::{Refusal, Response};
use porchlight_wire::mailbox::MailboxId;
use porchlight_wire::time::UnixMillis;
use rand_core::Rng;
use serde_bytes::ByteBuf;
use std::collections::{BTreeMap, BTreeSet};

/// Names a record that was left.
type Key = (MailboxId, BlindedKey);

/// How putting what was left goes. Volatile, but for what is on disk.
#[derive(Debug, Default)]
pub(crate) struct LeftHere {
    /// What is still to be put, by when.
    due: BTreeSet<(UnixMillis, Key)>,
    puts: BTreeMap<PutId, Key>,
}

impl LeftHere {
    /// Takes up what is on disk.
    pub(crate) fn of(disk: &crate::Snapshot) -> Self {
        Self {
            due: disk.left.iter().map(|(key, row)| (row.due, *key)).collect(),
            puts: BTreeMap::new(),
        }
    }
}

impl Node {
    /// The owner of a mailbox leaves records.
    pub(crate) fn take_left(
        &mut self,
        duties: &Mailkeeping,
        kept: &KeptRow,
        first: bool,
        records: &[ByteBuf],
    ) -> Result<Response, Refusal> {
        let mut rows: BTreeMap<BlindedKey, LeftRow> = BTreeMap::new();
        for record in records {
            let row = self.check_left(kept.mailbox, record)?;
            rows.insert(row.pk, row);
        }
        let before = self.left_of(&kept.mailbox);
        let stay = before.iter().filter(|pk| !first && !rows.contains_key(pk)).count();
        let most = match kept.tier {
            Tier::Listed | Tier::Vouched { .. } => LEFT_EACH,
            Tier::Worked => LEFT_WORKED,
        };
        if stay + rows.len() > most {
            return Err(Refusal::Quota);
        }
        let all = self.disk.left.len() - before.len() + stay + rows.len();
        // Their bytes are few beside the room for envelopes, and in memory: they have a bound of their own.
        if all > LEFT || duties.room == 0 {
            return Err(Refusal::Full);
        }
        if first {
            self.forget_left(&kept.mailbox);
        }
        for (pk, row) in rows {
            self.drop_left((row.mailbox, pk));
            self.left_here.due.insert((row.due, (row.mailbox, pk)));
            self.write(Write::PutLeft(row));
        }
        Ok(Response::MailboxDone {})
    }

    /// A record that stands, or will within the time that may be, with a moment at which it is put.
    fn check_left(&mut self, mailbox: MailboxId, record: &ByteBuf) -> Result<LeftRow, Refusal> {
        if record.len() != BEACON_LEAST {
            return Err(Refusal::Size);
        }
        let now = self.clock.unix;
        let (beacon, from) =
            VerifiedBeacon::verify_ahead(record, &self.config.network, now).map_err(|error| match error {
                BeaconError::Expired(_) | BeaconError::TooEarly(_) => Refusal::Time,
                BeaconError::Length(_)
                | BeaconError::Unknown { .. }
                | BeaconError::Certificate
                | BeaconError::Signature
                | BeaconError::Work(_)
                | BeaconError::OutlivesCertificate => Refusal::Invalid,
            })?;
        if beacon.kind() != Kind::Presence {
            return Err(Refusal::Invalid);
        }
        if from > now.plus(LEFT_AHEAD) {
            return Err(Refusal::Time);
        }
        // Certificates end on whole hours, one to two hours before they could: the day begins an hour later, or two.
        let due = from
            .plus(LEFT_SPREAD)
            .plus(u64::from(self.rng.next_u32()) % LEFT_SPREAD);
        Ok(LeftRow {
            mailbox,
            pk: beacon.pk(),
            record: record.clone(),
            due,
            until: beacon.expires(),
        })
    }

    fn left_of(&self, mailbox: &MailboxId) -> Vec<BlindedKey> {
        let from = (*mailbox, BlindedKey::from_bytes([0; 32]));
        let to = (*mailbox, BlindedKey::from_bytes([0xff; 32]));
        self.disk.left.range(from..=to).map(|((_, pk), _)| *pk).collect()
    }

    /// The owner is back, or the mailbox is given up: what was left is not put any more.
    pub(crate) fn forget_left(&mut self, mailbox: &MailboxId) {
        for pk in self.left_of(mailbox) {
            self.drop_left((*mailbox, pk));
        }
    }

    fn drop_left(&mut self, key: Key) {
        if let Some(row) = self.disk.left.get(&key) {
            // One that was to be tried again is passed over when its turn comes.
            self.left_here.due.remove(&(row.due, key));
            self.write(Write::DeleteLeft(key.0, key.1));
        }
    }

    /// Puts what is due.
    pub(crate) fn left_due(&mut self) {
        for _ in 0..LEFT_AT_ONCE {
            let Some((due, key)) = self.left_here.due.first().copied() else {
                return;
            };
            if due > self.clock.unix {
                return;
            }
            self.left_here.due.pop_first();
            let Some(row) = self.disk.left.get(&key) else {
                continue;
            };
            let verified = VerifiedBeacon::verify(&row.record, &self.config.network, self.clock.unix);
            match verified {
                Ok(beacon) => {
                    let put = PutId(self.next_id());
                    self.left_here.puts.insert(put, key);
                    self.step.effect(Effect::Gossip { beacon: beacon.clone() });
                    let record = beacon.into();
                    self.step.effect(Effect::Put { put, record });
                }
                // Our clock was set back since it was taken.
                Err(BeaconError::TooEarly(_)) => {
                    self.left_here.due.insert((self.clock.unix.plus(RETRY_LAST), key));
                }
                Err(_) => self.write(Write::DeleteLeft(key.0, key.1)),
            }
        }
    }

    /// When [`left_due`](Self::left_due) has something to do next.
    pub(crate) fn next_left(&self) -> Option<Instant> {
        let (due, _) = self.left_here.due.first()?;
        Some(self.instant_of(*due))
    }

    /// A put has ended; true if it was one of what was left here. What nobody kept is put again until its time is over.
    pub(crate) fn on_left_put(&mut self, put: PutId, stored: u32) -> bool {
        let Some(key) = self.left_here.puts.remove(&put) else {
            return false;
        };
        if stored > 0 {
            self.write(Write::DeleteLeft(key.0, key.1));
        } else if self.disk.left.contains_key(&key) {
            self.left_here.due.insert((self.clock.unix.plus(RETRY_LAST), key));
        }
        true
    }
}
