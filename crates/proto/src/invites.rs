//! Invites of our own: making them and ending them. What their use leads to is in `contacts`.

use crate::clock::Instant;
use crate::contacts::{NO_VIEW, full};
use crate::event::Event;
use crate::limits::{INVITE_LIFE_MAX, INVITE_LIFE_MIN, INVITE_USES, INVITES};
use crate::node::Node;
use crate::publication::Name;
use crate::reply::{CommandError, Reply};
use crate::rows::InviteRow;
use crate::step::Write;
use porchlight_wire::blind::GenerationKey;
use porchlight_wire::ids::{NodeAddress, RandomId};
use porchlight_wire::invite::{Invite, InviteToken};
use std::collections::BTreeSet;

/// Addresses named in an invite. Two, so that one may be down; more would not fit a QR code well.
const REACH: usize = 2;

impl Node {
    /// `Command::CreateInvite`.
    pub(crate) fn command_create_invite(
        &mut self,
        uses: u32,
        expires_in: u64,
        view: &str,
    ) -> Result<Reply, CommandError> {
        if !(1..=INVITE_USES).contains(&uses) {
            return Err(CommandError::Invalid {
                what: "uses".to_owned(),
                expected: format!("1 to {INVITE_USES}"),
                got: uses.to_string(),
            });
        }
        if !(INVITE_LIFE_MIN..=INVITE_LIFE_MAX).contains(&expires_in) {
            return Err(CommandError::Invalid {
                what: "the time until the invite ends".to_owned(),
                expected: "one minute to 30 days".to_owned(),
                got: format!("{expires_in} ms"),
            });
        }
        self.known_view(view)?;
        if self.disk.invites.len() >= INVITES && !self.forget_spent_invite() {
            return Err(full("invite", INVITES));
        }
        if view == NO_VIEW {
            // So that it is known from the beginning that those who use the invite are shown nothing.
            self.ensure_view(view);
        }
        let row = InviteRow {
            id: self.random_id(),
            token: InviteToken::random(&mut self.rng),
            record: GenerationKey::random(&mut self.rng),
            temporary: GenerationKey::random(&mut self.rng),
            view: view.to_owned(),
            uses,
            used_by: BTreeSet::new(),
            barred: BTreeSet::new(),
            created: self.clock.unix,
            expires: self.clock.unix.plus(expires_in),
        };
        let reach = self.reach();
        let invite = Invite {
            network: self.config.network.name().to_owned(),
            principal: self.disk.identity.principal,
            record: row.record.read_key(),
            reach: reach.clone(),
            token: row.token.clone(),
            expires: row.expires,
        };
        let reply = Reply::Invite {
            id: row.id,
            uri: invite.to_uri(),
            qr: invite.to_qr_text(),
            uses,
            expires: row.expires,
            reach,
        };
        self.write(Write::PutInvite(row));
        // The card has to be there as long as the invite.
        self.touch_card();
        self.interest_changed = true;
        Ok(reply)
    }

    /// Where whoever uses an invite is told to go: relays we are connected to; without one, ourselves.
    fn reach(&self) -> Vec<NodeAddress> {
        let mut reach = self.connected_seeds();
        if reach.is_empty() {
            reach = self.own_addresses();
        }
        reach.truncate(REACH);
        reach
    }

    /// Nobody can use this invite any more: its temporary view ends, and its record says so.
    pub(crate) fn end_invite_records(&mut self, id: &RandomId) {
        if let Some(temporary) = self.publications.get_mut(&Name::Temporary(*id)) {
            temporary.end();
        }
        if let Some(record) = self.publications.get_mut(&Name::Invite(*id)) {
            record.touch();
        }
    }

    /// Makes room by the oldest invite that nobody can use any more: it was only kept to say so. False if there is none.
    fn forget_spent_invite(&mut self) -> bool {
        let spent = self.disk.invites.values().filter(|invite| invite.uses_left() == 0);
        let Some(id) = spent.min_by_key(|invite| invite.created).map(|invite| invite.id) else {
            return false;
        };
        self.write(Write::DeleteInvite(id));
        true
    }

    /// Ends the invites whose time is over.
    pub(crate) fn end_invites(&mut self) {
        let now = self.clock.unix;
        let over: Vec<RandomId> = self
            .disk
            .invites
            .values()
            .filter(|invite| invite.expires <= now)
            .map(|invite| invite.id)
            .collect();
        for id in over {
            self.write(Write::DeleteInvite(id));
            self.tell(Event::InviteExpired { invite: id });
            self.interest_changed = true;
        }
    }

    /// When [`end_invites`](Self::end_invites) has something to do next.
    pub(crate) fn next_invite_end(&self) -> Option<Instant> {
        let first = self.disk.invites.values().map(|invite| invite.expires).min()?;
        Some(self.instant_of(first))
    }
}
