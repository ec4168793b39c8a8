//! What stays behind while this node is away: closing records of the days to come, left with the relays that keep our mailboxes.
//! Today's and tomorrow's are put by the node itself as it goes; a certificate that ends later would be too early for everybody.
//! Called by the core when it is stopped. What the relays do with them is `relay/left`.

use crate::input::ExchangeId;
use crate::limits::AWAY_DAYS;
use crate::node::{Node, Phase};
use crate::presence::presentity::farewell;
use crate::publication::{Publication, SLOT};
use crate::rows::MailboxRow;
use crate::step::Effect;
use porchlight_wire::beacon::{BeaconDraft, VerifiedBeacon};
use porchlight_wire::blind::{BlindedKey, Epoch, Kind};
use porchlight_wire::frame::Request;
use porchlight_wire::limits::LEFT_BATCH;
use porchlight_wire::mailbox::{Operation, What};
use porchlight_wire::record::Place;
use porchlight_wire::time::UnixMillis;
use serde_bytes::ByteBuf;
use std::collections::{BTreeMap, BTreeSet};

/// Closing records of days to come, by address: their order says nothing of which belong to one view.
pub(crate) type Ahead = BTreeMap<BlindedKey, Vec<u8>>;

impl Node {
    /// Mailboxes at relays that are connected and know us.
    fn mailboxes_at_hand(&self) -> Vec<MailboxRow> {
        let rows = self.disk.mailboxes.values();
        let at_hand =
            rows.filter(|row| self.connected.contains_key(&row.relay.node) && self.is_registered(row.mailbox));
        at_hand.cloned().collect()
    }

    /// The epochs after the next one for which a closing record is left.
    fn epochs_ahead(publication: &Publication, now: UnixMillis) -> impl Iterator<Item = Epoch> + use<> {
        let current = publication.epoch_at(now);
        (2..=AWAY_DAYS).map(move |days| Epoch(current.0.saturating_add(days)))
    }

    /// Closing records of a view for the days after tomorrow, as many as there is proof of work for. They are made after those for
    /// today, in order, so that each is newer than the one of the day before.
    pub(crate) fn closing_records_ahead(&mut self, publication: &mut Publication, ahead: &mut Ahead) {
        if publication.kind() != Kind::Presence || self.mailboxes_at_hand().is_empty() {
            return;
        }
        let document = farewell(self.disk.identity.principal);
        let Some((payload, _, expires)) = self.presence_content(document, None) else {
            return;
        };
        for epoch in Self::epochs_ahead(publication, self.clock.unix) {
            let pk = publication.address(epoch);
            let work = self.work.get(&Place::Beacon(pk)).copied();
            if work.is_none() && self.config.network.work_bits() > 0 {
                continue;
            }
            let draft = BeaconDraft {
                kind: Kind::Presence,
                epoch,
                slot: SLOT,
                sequence: self.next_sequence(),
                expires,
                payload: &payload,
                work: work.unwrap_or(0),
            };
            // As it would be made when its day begins: nobody takes it before.
            let begins = publication.start_of(epoch);
            let sealed = publication.seal(&draft, begins, &mut self.rng);
            match sealed.map(|bytes| VerifiedBeacon::verify(&bytes, &self.config.network, begins).map(|_| bytes)) {
                Ok(Ok(bytes)) => {
                    ahead.insert(pk, bytes);
                }
                Ok(Err(error)) => tracing::error!(%error, "a closing record of ours does not stand"),
                Err(error) => tracing::error!(%error, "a closing record of ours cannot be made"),
            }
        }
    }

    /// Leaves records with each relay at hand. Returns the exchanges to wait for.
    pub(crate) fn leave_with_relays(&mut self, ahead: &Ahead) -> BTreeSet<ExchangeId> {
        let mut exchanges = BTreeSet::new();
        if ahead.is_empty() {
            return exchanges;
        }
        let records: Vec<ByteBuf> = ahead.values().map(|bytes| ByteBuf::from(bytes.as_slice())).collect();
        for row in self.mailboxes_at_hand() {
            for (number, records) in records.chunks(LEFT_BATCH).enumerate() {
                let operation = Operation {
                    mailbox: row.mailbox,
                    owner: self.config.node,
                    relay: row.relay.node,
                    what: What::Leave {
                        first: number == 0,
                        records: records.to_vec(),
                    },
                };
                let exchange = ExchangeId(self.next_id());
                exchanges.insert(exchange);
                self.step.effect(Effect::Request {
                    exchange,
                    to: row.relay.node,
                    addresses: vec![row.relay.address.clone()],
                    request: Request::Mailbox(operation.sign(&row.key)),
                });
            }
        }
        exchanges
    }

    /// A relay has answered about what is left there, or will not; false if it was about something else.
    pub(crate) fn on_left_answer(&mut self, exchange: ExchangeId) -> bool {
        let Phase::Leaving(leaving) = &mut self.phase else {
            return false;
        };
        leaving.exchanges.remove(&exchange)
    }

    /// Asks for one more of the proofs of work that closing records of the coming days need, while there is nothing else to be
    /// worked for.
    pub(crate) fn prepare_absence(&mut self, publication: &mut Publication) {
        if self.disk.mailboxes.is_empty() || publication.kind() != Kind::Presence || !self.work_asked.is_empty() {
            return;
        }
        for epoch in Self::epochs_ahead(publication, self.clock.unix) {
            let place = Place::Beacon(publication.address(epoch));
            if self.work_for(place).is_none() {
                return;
            }
        }
    }
}
