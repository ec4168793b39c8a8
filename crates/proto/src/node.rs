//! The core itself: owns all state, takes one input at a time, and returns a step.
//!
//! An input is routed to the part it concerns; then everything that has become due is done (`settle`). All
//! changes of durable state go through [`Snapshot::apply`], so that memory and disk cannot differ.

use crate::absence::Ahead;
use crate::clock::{Clock, Instant};
use crate::event::Event;
use crate::hello::Hellos;
use crate::input::{Command, ExchangeId, Input, LiveNode, LookupId, PutId, RequestId};
use crate::letters::Outbox;
use crate::limits::{FOUND_PER_LOOKUP, GOODBYE_WAIT, LISTENING, LIVE_NODES, MET_RELAYS};
use crate::log::{CallKey, valid_key};
use crate::mailbox::Collector;
use crate::messaging::Messaging;
use crate::post::Post;
use crate::presence::following::Followings;
use crate::presence::poller::Polled;
use crate::presence::watcher::Watched;
use crate::public::{AddingPublic, OwnSheet, SheetFor};
use crate::publication::{Name, Publication};
use crate::relay::Mailkeeping;
use crate::relay::left::LeftHere;
use crate::relay::mailbox::Keeper;
use crate::removal::Closings;
use crate::reply::{CommandError, Reply};
use crate::snapshot::Snapshot;
use crate::step::{Effect, Step, Write};
use porchlight_wire::beacon::VerifiedBeacon;
use porchlight_wire::blind::{BlindedKey, Epoch, ReadKey};
use porchlight_wire::card::Card;
use porchlight_wire::ids::{Address, NodeAddress, NodeId, PrincipalId, RandomId};
use porchlight_wire::invite::Invite;
use porchlight_wire::network::{Network, TopicIndex};
use porchlight_wire::record::{Place, VerifiedRecord};
use porchlight_wire::sheet::VerifiedSheet;
use porchlight_wire::time::UnixMillis;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::{BTreeMap, BTreeSet};

/// What the owner configured, as far as the core is concerned.
#[derive(Clone, Debug)]
pub struct Config {
    /// The network this node is in.
    pub network: Network,
    /// This node's transport identity, named in its card.
    pub node: NodeId,
    /// What a new contact is told as our name.
    pub name: Option<String>,
    /// How long a presence record holds, in milliseconds.
    pub lease: u64,
    /// The least time between two puts of one view into the DHT, in milliseconds.
    pub dht_interval: u64,
    /// Addresses that others reach this node at besides those it listens on, the best first.
    pub external: Vec<Address>,
    /// Whether our addresses stand in our card.
    pub card_addresses: bool,
    /// Whether this node tells our presence, and watches that of others.
    pub presence: bool,
    /// Whether this node sends and takes messages.
    pub messages: bool,
    /// Whether senders are told when their messages were read.
    pub read_receipts: bool,
    /// Whether presence is followed at a relay instead of by being in topics.
    pub follow: bool,
    /// Entry points, named in invites while we are connected to them.
    pub seed_peers: Vec<NodeAddress>,
    /// How many mailboxes this node has at relays; 0: none.
    pub mailboxes: usize,
    /// Whether this node keeps mailboxes for others: what its administrator configured.
    pub mailkeeping: Option<Mailkeeping>,
}

/// The core.
#[derive(Debug)]
pub struct Node {
    pub(crate) config: Config,
    pub(crate) disk: Snapshot,
    pub(crate) rng: ChaCha20Rng,
    /// The reading that came with the input at hand.
    pub(crate) clock: Clock,
    /// When this process began.
    pub(crate) started: UnixMillis,
    /// What the input at hand has led to so far.
    pub(crate) step: Step,
    pub(crate) phase: Phase,
    /// The last sequence used.
    pub(crate) sequence: u64,
    last_id: u64,

    pub(crate) publications: BTreeMap<Name, Publication>,
    pub(crate) puts: BTreeMap<PutId, Name>,
    pub(crate) work: BTreeMap<Place, u64>,
    pub(crate) work_asked: BTreeSet<Place>,
    pub(crate) sheet: OwnSheet,

    pub(crate) watched: BTreeMap<PrincipalId, Watched>,
    pub(crate) polls: BTreeMap<PrincipalId, Polled>,
    pub(crate) lookups: BTreeMap<LookupId, Lookup>,
    /// Invites to be looked up again, and when. Counts against the bound of lookups.
    pub(crate) adds: Vec<(Instant, Adding)>,
    /// Whose record is expected at which address.
    pub(crate) index: BTreeMap<BlindedKey, (PrincipalId, Epoch)>,
    pub(crate) interest_changed: bool,
    /// From when until when what was worked out last holds.
    pub(crate) interest_holds: Option<(UnixMillis, UnixMillis)>,
    pub(crate) sent: Sent,
    pub(crate) followings: Followings,

    /// Verified cards of contacts.
    pub(crate) cards: BTreeMap<PrincipalId, Card>,
    /// The same of those who are still to be told that they were removed.
    pub(crate) former_cards: BTreeMap<PrincipalId, Card>,
    pub(crate) closings: Closings,
    /// When grants are looked through next.
    pub(crate) renewals_at: Instant,
    pub(crate) renewals_asked: BTreeMap<PrincipalId, Instant>,
    pub(crate) outbox: Outbox,
    pub(crate) post: Post,
    pub(crate) collector: Collector,
    pub(crate) keeper: Keeper,
    pub(crate) left_here: LeftHere,
    pub(crate) messaging: Messaging,
    pub(crate) hellos: Hellos,
    /// Until when the tokens for strangers' envelopes were used up.
    pub(crate) stranger_credit: u64,
    /// The same for envelopes that come with an invite's token.
    pub(crate) invited_credit: u64,

    pub(crate) connected: BTreeMap<NodeId, bool>,
    /// Relays that this process was connected to at some time.
    met: BTreeSet<NodeId>,
    pub(crate) live: Vec<LiveNode>,
    pub(crate) live_changed: bool,
    pub(crate) reachable: bool,
    /// Why this node is not well, as told last.
    pub(crate) degraded: BTreeSet<String>,
    pub(crate) listening: BTreeSet<Address>,
}

/// Where the node is in its life.
#[derive(Debug)]
pub(crate) enum Phase {
    /// Restored, and not yet told to start.
    Waiting,
    /// At work.
    Up,
    /// Goodbyes are on their way.
    Leaving(Leaving),
    /// Everything was said.
    Gone,
}

/// What a leaving node still waits for.
#[derive(Debug)]
pub(crate) struct Leaving {
    pub(crate) puts: BTreeSet<PutId>,
    pub(crate) exchanges: BTreeSet<ExchangeId>,
    pub(crate) until: Instant,
}

/// What a lookup is for.
#[derive(Clone, Debug)]
pub(crate) enum Purpose {
    /// The newest record of a contact.
    Presence { principal: PrincipalId, by: AskedBy },
    /// The newest card of a contact.
    Card { principal: PrincipalId },
    /// The invite record of an invite that is being used.
    InviteRecord { adding: Box<Adding> },
    /// The inviter's card.
    InviterCard {
        adding: Box<Adding>,
        record: Box<porchlight_wire::card::InviteRecord>,
    },
    /// The identity sheet of a principal.
    Sheet { principal: PrincipalId, wanted: SheetFor },
    /// The card of a public principal that is being added.
    PublicCard {
        adding: Box<AddingPublic>,
        sheet: Box<VerifiedSheet>,
    },
    /// The newest record of a public view, for a fetcher who waits.
    PublicPresence {
        request: RequestId,
        principal: PrincipalId,
        read: Box<ReadKey>,
    },
}

/// Who asked for the newest record of a contact.
#[derive(Clone, Copy, Debug)]
pub(crate) enum AskedBy {
    /// The subscription.
    Subscription,
    /// A fetcher, who waits.
    Fetcher(RequestId),
    /// The schedule of a poller.
    Schedule,
}

/// An invite that is being used.
#[derive(Clone, Debug)]
pub(crate) struct Adding {
    pub(crate) request: RequestId,
    pub(crate) key: Option<CallKey>,
    pub(crate) invite: Invite,
    pub(crate) name: Option<String>,
    /// The view they are granted.
    pub(crate) view: String,
    /// Lookups of the invite's record so far.
    pub(crate) tries: u32,
}

/// A lookup under way.
#[derive(Debug)]
pub(crate) struct Lookup {
    pub(crate) purpose: Purpose,
    pub(crate) addresses: Vec<(BlindedKey, Epoch)>,
    pub(crate) found: Vec<(VerifiedBeacon, Epoch)>,
    pub(crate) sheets: Vec<VerifiedSheet>,
}

/// What was last asked of the network, so that only changes are sent.
#[derive(Debug, Default)]
pub(crate) struct Sent {
    pub(crate) topics: BTreeSet<TopicIndex>,
    pub(crate) expected: BTreeSet<BlindedKey>,
    pub(crate) follow: Vec<BlindedKey>,
    pub(crate) keep: Vec<NodeAddress>,
    pub(crate) served: BTreeSet<BlindedKey>,
}

impl Node {
    /// Takes up where the disk left off. `seed` is fresh from the operating system at each start and never stored:
    /// using one again would repeat nonces.
    #[must_use]
    pub fn restore(snapshot: Snapshot, config: Config, seed: [u8; 32], clock: Clock) -> Self {
        let sequence = snapshot.ceiling;
        let keeper = Keeper::of(&snapshot);
        let left_here = LeftHere::of(&snapshot);
        let mut node = Self {
            config,
            disk: snapshot,
            rng: ChaCha20Rng::from_seed(seed),
            clock,
            started: clock.unix,
            step: Step::default(),
            phase: Phase::Waiting,
            sequence,
            last_id: 0,
            publications: BTreeMap::new(),
            puts: BTreeMap::new(),
            work: BTreeMap::new(),
            work_asked: BTreeSet::new(),
            sheet: OwnSheet::default(),
            watched: BTreeMap::new(),
            polls: BTreeMap::new(),
            lookups: BTreeMap::new(),
            adds: Vec::new(),
            index: BTreeMap::new(),
            interest_changed: true,
            interest_holds: None,
            sent: Sent::default(),
            followings: Followings::default(),
            cards: BTreeMap::new(),
            former_cards: BTreeMap::new(),
            closings: Closings::default(),
            renewals_at: Instant(0),
            renewals_asked: BTreeMap::new(),
            outbox: Outbox::default(),
            post: Post::default(),
            collector: Collector::default(),
            keeper,
            left_here,
            messaging: Messaging::default(),
            hellos: Hellos::default(),
            stranger_credit: 0,
            invited_credit: 0,
            connected: BTreeMap::new(),
            met: BTreeSet::new(),
            live: Vec::new(),
            live_changed: false,
            reachable: false,
            degraded: BTreeSet::new(),
            listening: BTreeSet::new(),
        };
        node.remember_cards();
        node.restore_messages();
        node
    }

    /// Takes one input. Never fails: a bad frame is a refusal on the wire, a bad command a reply.
    pub fn handle(&mut self, clock: Clock, input: Input) -> Step {
        self.clock = clock;
        // What time alone has changed is so before anything is answered: the machine may have slept.
        if matches!(self.phase, Phase::Up) {
            self.watch_overdue();
            self.presence_due();
        }
        self.route(input);
        self.settle();
        std::mem::take(&mut self.step)
    }

    /// When to come back with [`Input::Deadline`], if nothing else happens first.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        match &self.phase {
            Phase::Waiting | Phase::Gone => None,
            Phase::Leaving(leaving) => Some(leaving.until),
            Phase::Up => [
                self.next_publication(),
                self.next_watch(),
                self.next_letter(),
                self.next_parcel(),
                self.next_collection(),
                self.next_sweep(),
                self.next_notice(),
                self.next_left(),
                self.next_message(),
                self.next_envelope_key(),
                self.next_add(),
                self.next_invite_end(),
                self.next_presence(),
                self.next_poll(),
                self.next_closing(),
                Some(self.next_renewal()),
                self.next_sheet(),
                self.interest_holds.map(|(_, until)| self.instant_of(until)),
                self.next_following(),
            ]
            .into_iter()
            .flatten()
            .min(),
        }
    }

    /// The durable state as of the last step: equal to what is on disk once all steps were committed.
    #[must_use]
    pub const fn snapshot(&self) -> &Snapshot {
        &self.disk
    }

    fn route(&mut self, input: Input) {
        match input {
            Input::Start => self.on_start(),
            Input::Command {
                request,
                idempotency_key,
                command,
            } => self.on_command(request, idempotency_key, command),
            Input::Connected { node, relay } => self.on_connected(node, relay),
            Input::Disconnected { node } => self.on_disconnected(node),
            Input::Listening { address } => self.on_listening(address),
            Input::NotListening { address } => self.on_not_listening(&address),
            Input::Request {
                from,
                exchange,
                request,
            } => self.on_request(from, exchange, request),
            Input::Response { exchange, response } => {
                let of_hello = self.on_left_answer(exchange) || self.on_hello_response(exchange, &response);
                let of_keeping = of_hello || self.on_notice_answered(exchange, Some(&response));
                let of_mailbox = of_keeping || self.on_mailbox_response(exchange, &response);
                if !of_mailbox && !self.on_parcel_response(exchange, &response) {
                    self.on_response(exchange, &response);
                }
            }
            Input::ExchangeFailed {
                exchange,
                perhaps_processed,
                reason,
            } => {
                let of_hello = self.on_left_answer(exchange) || self.on_hello_failed(exchange);
                let of_keeping = of_hello || self.on_notice_answered(exchange, None);
                let of_mailbox = of_keeping || self.on_mailbox_failed(exchange);
                if !of_mailbox && !self.on_parcel_failed(exchange) {
                    self.on_exchange_failed(exchange, perhaps_processed, &reason);
                }
            }
            Input::Beacon { beacon, source } => self.on_beacon(&beacon, source),
            Input::Found { lookup, record } => self.on_found(lookup, record),
            Input::LookupDone { lookup, answered } => self.on_lookup_done(lookup, answered),
            Input::PutDone { put, stored, asked } => self.on_put_done(put, stored, asked),
            Input::Live { nodes } => self.on_live(nodes),
            Input::Followed { node, told } => self.on_followed(node, told),
            Input::Worked { place, nonce } => self.on_worked(place, nonce),
            Input::DayWorked { challenge, nonce } => {
                if !self.on_registration_work(&challenge, nonce) {
                    self.on_parcel_work(&challenge, nonce);
                }
            }
            Input::Health { reasons } => self.on_health(reasons),
            Input::Deadline => {}
        }
    }

    /// Does everything that has become due, in the order in which one thing leads to the next.
    fn settle(&mut self) {
        match &self.phase {
            Phase::Waiting | Phase::Gone => {}
            Phase::Leaving(leaving) => {
                if (leaving.puts.is_empty() && leaving.exchanges.is_empty()) || leaving.until <= self.clock.instant {
                    self.phase = Phase::Gone;
                    self.step.effect(Effect::Halt);
                }
            }
            Phase::Up => {
                self.end_invites();
                self.presence_due();
                // By the wall clock, which goes on while the machine sleeps, and may be set either way.
                if self
                    .interest_holds
                    .is_some_and(|(from, until)| !(from..until).contains(&self.clock.unix))
                {
                    self.interest_changed = true;
                }
                if self.interest_changed {
                    self.sync_publications();
                    self.sync_watched();
                    self.sync_interest();
                    self.interest_changed = false;
                }
                self.renew_due();
                self.add_due();
                self.watch_due();
                self.poll_due();
                self.follow_due();
                self.live_changed = false;
                self.mailboxes_due();
                self.offer_letters();
                self.parcels_due();
                self.sweep_due();
                self.notices_due();
                self.left_due();
                self.keep_envelope_key();
                self.messages_due();
                self.publish_due();
                self.closings_due();
                self.sheet_due();
            }
        }
        self.trim_events();
    }

    fn on_start(&mut self) {
        if !matches!(self.phase, Phase::Waiting) {
            return;
        }
        self.phase = Phase::Up;
        self.interest_changed = true;
        self.start_polls();
        self.keep_envelope_key();
        self.keep_account();
        self.tell(Event::NodeStarted);
    }

    fn on_command(&mut self, request: RequestId, key: Option<String>, command: Command) {
        let key = key.map(|key| CallKey::new(key, &command));
        if let Some(CallKey { key, call }) = &key {
            if let Err(error) = valid_key(key) {
                self.reply(request, Err(error));
                return;
            }
            if let Some(answer) = self.disk.answers.get(key) {
                let result = if answer.call == *call {
                    Ok(answer.reply.clone())
                } else {
                    Err(CommandError::KeyInUse { key: key.clone() })
                };
                self.reply(request, result);
                return;
            }
        }
        if !matches!(self.phase, Phase::Up) {
            self.reply(request, Err(CommandError::Stopping));
            return;
        }
        let result = match command {
            Command::CreateInvite { uses, expires_in, view } => {
                self.command_create_invite(uses, expires_in, &view).map(Some)
            }
            Command::AddContact { invite, name, view } => {
                self.command_add_contact(request, key.clone(), &invite, name, view)
            }
            Command::RemoveContact { contact } => self.command_remove_contact(&contact).map(Some),
            Command::UpdateContact { contact, name, view } => self
                .command_update_contact(&contact, name.as_deref(), view.as_deref())
                .map(Some),
            Command::CreateView {
                name,
                projection,
                rights,
                reach,
            } => self.command_create_view(&name, projection, rights, reach).map(Some),
            Command::UpdateView { name, reach } => self.command_update_view(&name, reach).map(Some),
            Command::DeleteView { name } => self.command_delete_view(&name).map(Some),
            Command::ListViews => Ok(Some(self.command_list_views())),
            Command::ListGrants => Ok(Some(self.command_list_grants())),
            Command::RevokeGrant { contact } => self.command_revoke_grant(&contact).map(Some),
            Command::ListWatchers => Ok(Some(self.command_list_watchers())),
            Command::ListInvites => Ok(Some(self.command_list_invites())),
            Command::RevokeInvite { invite } => self.command_revoke_invite(&invite).map(Some),
            Command::ListContacts => Ok(Some(self.command_list_contacts())),
            Command::SetPresence(_)
            | Command::ClearPresence { .. }
            | Command::Fetch { .. }
            | Command::Subscribe { .. }
            | Command::Poll { .. }
                if !self.config.presence =>
            {
                Err(CommandError::PresenceOff)
            }
            Command::SetPresence(new) => self.command_set_presence(*new).map(Some),
            Command::ClearPresence { view, parts } => self.command_clear_presence(view.as_deref(), &parts).map(Some),
            Command::ShowPresence => Ok(Some(self.command_show_presence())),
            Command::Fetch { contact } => self.command_fetch(request, &contact),
            Command::Subscribe { contact } => self.command_subscribe(&contact),
            Command::Unsubscribe { contact } => self.command_unsubscribe(&contact),
            Command::Poll { contact, every } => self.command_poll(&contact, every).map(Some),
            Command::Unpoll { contact } => self.command_unpoll(&contact).map(Some),
            Command::ListPolls => Ok(Some(self.command_list_polls())),
            Command::ListPresence => Ok(Some(self.command_list_presence())),
            Command::Consumer { name, from } => self.command_consumer(&name, from).map(Some),
            Command::Acknowledge { name, number } => self.command_acknowledge(&name, number).map(Some),
            Command::UseRelay { relay, stop } => self.command_use_relay(relay, stop).map(Some),
            Command::ListRelays => Ok(Some(self.command_list_relays())),
            Command::Keeping => Ok(Some(self.command_keeping())),
            Command::SendMessage(new) => self.command_send_message(*new).map(Some),
            Command::CancelMessage { message } => self.command_cancel_message(&message).map(Some),
            Command::RetryMessages { contact } => self.command_retry_messages(contact.as_deref()).map(Some),
            Command::ListOutbox => Ok(Some(self.command_list_outbox())),
            Command::MarkRead { contact, up_to } => self.command_mark_read(&contact, up_to).map(Some),
            Command::ListConversations => Ok(Some(self.command_list_conversations())),
            Command::VerifyContact { contact, verified } => self.command_verify(&contact, verified).map(Some),
            Command::BlockContact { contact, politely } => self.command_block(&contact, politely).map(Some),
            Command::UnblockContact { contact } => self.command_unblock(&contact).map(Some),
            Command::Condition => Ok(Some(Reply::Condition(Box::new(self.command_condition())))),
            Command::Examine { contact, found } => self
                .command_examine(&contact, &found)
                .map(|examined| Some(Reply::Examined(Box::new(examined)))),
            Command::Stop => {
                self.leave();
                Ok(Some(Reply::Stopping))
            }
        };
        match result {
            Ok(None) => {}
            Ok(Some(reply)) => self.answer(request, key, reply),
            Err(error) => self.reply(request, Err(error)),
        }
    }

    /// Whether the same call, repeated while it was under way, was answered meanwhile; if so, this one gets that answer.
    fn was_answered(&mut self, adding: &Adding) -> bool {
        let answer = adding.key.as_ref().and_then(|key| self.disk.answers.get(&key.key));
        let Some(reply) = answer.map(|answer| answer.reply.clone()) else {
            return false;
        };
        self.reply(adding.request, Ok(reply));
        true
    }

    /// Answers a command and remembers the answer under its idempotency key.
    pub(crate) fn answer(&mut self, request: RequestId, key: Option<CallKey>, reply: Reply) {
        if let Some(key) = key {
            self.remember_answer(key, reply.clone());
        }
        self.reply(request, Ok(reply));
    }

    pub(crate) fn reply(&mut self, request: RequestId, result: Result<Reply, CommandError>) {
        self.step.effect(Effect::Reply { request, result });
    }

    /// Makes a change durable: in memory now, on disk before any effect of this step leaves.
    pub(crate) fn write(&mut self, write: Write) {
        self.disk.apply(&write);
        self.step.write(write);
    }

    /// A number that names an exchange, lookup or put within this run.
    pub(crate) const fn next_id(&mut self) -> u64 {
        self.last_id += 1;
        self.last_id
    }

    pub(crate) fn random_id(&mut self) -> RandomId {
        RandomId::random(&mut self.rng)
    }

    fn on_connected(&mut self, node: NodeId, relay: bool) {
        let alone = !self.connected.values().any(|relay| *relay);
        let known = self.connected.insert(node, relay);
        if known.is_none() {
            self.mailboxes_of(node);
        }
        self.followings.changed = true;
        if relay && known != Some(true) {
            // Anyone can say that they are a relay; what they do is no event that pushes others out of the log.
            if self.is_seed(node) {
                self.tell(Event::RelayAdded { node });
            }
            let news = self.met.len() < MET_RELAYS && self.met.insert(node);
            if news || alone || self.is_seed(node) {
                self.offer_all_again();
            }
            if self.is_seed(node) {
                self.touch_reach();
            }
        }
        self.letters_due_at(node);
        self.parcels_due_at(node);
    }

    /// A relay is there that may not have what we publish: one never met, or the first one after a time without. One that is met
    /// again is none. A put itself connects us to the relays that are closest, and they are let go again when it is done: if each of
    /// these meetings led to another put, a node would never rest.
    fn offer_all_again(&mut self) {
        for publication in self.publications.values_mut() {
            publication.offer_again();
        }
        self.closings_again();
        self.offer_sheet_again();
    }

    fn on_disconnected(&mut self, node: NodeId) {
        self.followings.changed = true;
        if self.connected.remove(&node) == Some(true) && self.is_seed(node) {
            self.tell(Event::RelayLost { node });
        }
        self.mailboxes_of(node);
        self.forget_owner(node);
        self.forget_hello(node);
    }

    pub(crate) fn is_seed(&self, node: NodeId) -> bool {
        self.config.seed_peers.iter().any(|seed| seed.node == node)
    }

    fn on_listening(&mut self, address: Address) {
        if self.listening.len() < LISTENING && self.listening.insert(address) {
            self.touch_reach();
        }
    }

    fn on_not_listening(&mut self, address: &Address) {
        if self.listening.remove(address) {
            self.touch_reach();
        }
    }

    fn on_live(&mut self, mut nodes: Vec<LiveNode>) {
        nodes.truncate(LIVE_NODES);
        nodes.sort_by_key(|live| live.node);
        let newcomers: BTreeSet<TopicIndex> = {
            let before = &self.live;
            let any_relay = nodes.iter().any(|live| live.relay);
            nodes
                .iter()
                .flat_map(|live| {
                    let was = before.iter().find(|other| other.node == live.node);
                    live.topics
                        .iter()
                        .filter(move |topic| was.is_none_or(|was| !was.topics.contains(topic)))
                        .filter(move |topic| {
                            // With a relay there, whoever comes new asks the DHT. Without one, or when the first one
                            // appears, only a new record reaches those in the topic.
                            !any_relay || !before.iter().any(|other| other.topics.contains(topic))
                        })
                        .copied()
                })
                .collect()
        };
        self.live = nodes;
        self.live_changed = true;
        self.followings.changed = true;
        let reachable = self
            .live
            .iter()
            .any(|live| live.relay || self.is_contact_node(live.node));
        if reachable != self.reachable {
            self.reachable = reachable;
            self.tell(Event::ReachabilityChanged { reachable });
        }
        self.touch_topics(&newcomers);
    }

    fn on_found(&mut self, lookup: LookupId, record: VerifiedRecord) {
        let Some(under_way) = self.lookups.get_mut(&lookup) else {
            return;
        };
        let beacon = match record {
            VerifiedRecord::Beacon(beacon) => beacon,
            VerifiedRecord::Sheet(sheet) => {
                let wanted =
                    matches!(&under_way.purpose, Purpose::Sheet { principal, .. } if *principal == sheet.principal());
                if wanted && under_way.sheets.len() < FOUND_PER_LOOKUP && !under_way.sheets.contains(&sheet) {
                    under_way.sheets.push(sheet);
                }
                return;
            }
        };
        let Some((_, epoch)) = under_way.addresses.iter().find(|(pk, _)| *pk == beacon.pk()).copied() else {
            return;
        };
        if under_way.found.len() < FOUND_PER_LOOKUP && !under_way.found.iter().any(|(known, _)| *known == beacon) {
            under_way.found.push((beacon, epoch));
        }
    }

    fn on_lookup_done(&mut self, lookup: LookupId, answered: u32) {
        let Some(mut done) = self.lookups.remove(&lookup) else {
            return;
        };
        done.found
            .sort_by_key(|(beacon, _)| std::cmp::Reverse(beacon.sequence()));
        match done.purpose {
            Purpose::Presence { principal, by } => {
                self.on_presence_looked_up(&principal, by, &done.found, answered);
            }
            Purpose::Card { principal } => self.on_card_looked_up(&principal, &done.found),
            Purpose::InviteRecord { adding } | Purpose::InviterCard { adding, .. } if self.was_answered(&adding) => {}
            Purpose::InviteRecord { adding } => self.on_invite_record(*adding, &done.found, answered),
            Purpose::InviterCard { adding, record } => self.on_inviter_card(*adding, &record, &done.found),
            Purpose::Sheet { principal, wanted } => self.on_sheet(principal, wanted, &done.sheets, answered),
            Purpose::PublicCard { adding, sheet } => self.on_public_card(*adding, &sheet, &done.found),
            Purpose::PublicPresence {
                request,
                principal,
                read,
            } => self.on_public_presence(request, principal, &read, &done.found, answered),
        }
    }

    fn leave(&mut self) {
        self.tell(Event::NodeStopping);
        let mut ahead = Ahead::new();
        let puts = self.say_goodbye(&mut ahead);
        let exchanges = self.leave_with_relays(&ahead);
        // What follows a clean end need not go on from an hour ahead.
        self.write(Write::PutCeiling(self.sequence));
        for (_, adding) in std::mem::take(&mut self.adds) {
            self.reply(adding.request, Err(CommandError::Stopping));
        }
        for purpose in std::mem::take(&mut self.lookups)
            .into_values()
            .map(|lookup| lookup.purpose)
        {
            match purpose {
                Purpose::Presence {
                    by: AskedBy::Fetcher(request),
                    ..
                } => self.reply(request, Err(CommandError::Stopping)),
                Purpose::InviteRecord { adding } | Purpose::InviterCard { adding, .. } => {
                    self.reply(adding.request, Err(CommandError::Stopping));
                }
                Purpose::Sheet {
                    wanted: SheetFor::Fetch { request },
                    ..
                }
                | Purpose::PublicPresence { request, .. } => self.reply(request, Err(CommandError::Stopping)),
                Purpose::Sheet {
                    wanted: SheetFor::Adding(adding),
                    ..
                }
                | Purpose::PublicCard { adding, .. } => self.reply(adding.request, Err(CommandError::Stopping)),
                Purpose::Presence {
                    by: AskedBy::Subscription | AskedBy::Schedule,
                    ..
                }
                | Purpose::Card { .. }
                | Purpose::Sheet {
                    wanted: SheetFor::Renewal,
                    ..
                } => {}
            }
        }
        self.phase = Phase::Leaving(Leaving {
            puts,
            exchanges,
            until: self.clock.instant.plus(GOODBYE_WAIT),
        });
    }

    fn on_request(&mut self, from: NodeId, exchange: ExchangeId, request: porchlight_wire::frame::Request) {
        use porchlight_wire::frame::{Refusal, Request, Response};
        let response = match request {
            Request::Deliver { admission, envelope } if matches!(self.phase, Phase::Up) => {
                self.on_deliver(from, &admission, &envelope)
            }
            Request::MailboxDeposit {
                mailbox,
                pass,
                envelope,
            } if matches!(self.phase, Phase::Up) => self.on_deposit(from, mailbox, &pass, &envelope),
            Request::Mailbox(operation) if matches!(self.phase, Phase::Up) => {
                return self.on_operation(from, exchange, &operation);
            }
            Request::MailboxArrived { mailbox } if matches!(self.phase, Phase::Up) => self.on_arrived(from, mailbox),
            Request::Hello { nonce } if matches!(self.phase, Phase::Up) => self.on_hello(from, nonce),
            Request::Prove { tag } if matches!(self.phase, Phase::Up) => self.on_prove(from, &tag),
            Request::Direct { packet } if matches!(self.phase, Phase::Up) => {
                self.messaging.took_message = false;
                let response = self.on_direct(from, &packet);
                if matches!(response, Response::Delivered {}) && !self.messaging.took_message {
                    // Receipts: should they be lost, the messages are offered, and confirmed, again.
                    self.step.patient_effect(Effect::Respond { exchange, response });
                    return;
                }
                response
            }
            // Records are served by `net` itself, from its shelf.
            Request::Deliver { .. }
            | Request::Hello { .. }
            | Request::Prove { .. }
            | Request::Direct { .. }
            | Request::MailboxDeposit { .. }
            | Request::Mailbox(_)
            | Request::MailboxArrived { .. }
            | Request::RecordPut { .. }
            | Request::RecordGet { .. }
            | Request::RecordFollow { .. }
            | Request::Relays {} => Response::Refused {
                reason: Refusal::NotServed,
            },
        };
        self.step.effect(Effect::Respond { exchange, response });
    }
}
