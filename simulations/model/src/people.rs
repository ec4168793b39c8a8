//! The people of a world: identities, who knows whom, and the rows on their disks that say so. What takes the cores many letters
//! is written here directly, with the same contents, so that a world of many begins as if everybody had met long ago.

use crate::random::Random;
use porchlight_proto::rows::{ContactRow, GrantedView, HeldView, Identity, Projection, SubscriptionState, ViewRow};
use porchlight_proto::{Clock, Config, Input, Node, Snapshot};
use porchlight_wire::blind::GenerationKey;
use porchlight_wire::card::{Bundle, OlmKeys, SignedCard};
use porchlight_wire::device_list::{DeviceEntry, DeviceList};
use porchlight_wire::envelope::EnvelopeSecretKey;
use porchlight_wire::grant::Right;
use porchlight_wire::ids::{NodeAddress, RandomId};
use porchlight_wire::keys::{DeviceKeys, RootKey};
use porchlight_wire::time::UnixMillis;
use std::collections::BTreeSet;

/// The view that contacts are granted.
pub const CONTACTS_VIEW: &str = "contacts";

/// The view of those who are public.
const PUBLIC_VIEW: &str = "public";

/// A year, in milliseconds.
const YEAR: u64 = 365 * 86_400_000;

/// A new principal with one device.
#[must_use]
pub fn identity(now: UnixMillis, random: &mut Random) -> Identity {
    let rng = random.generator();
    let root = RootKey::random(rng);
    let device = DeviceKeys::random(rng);
    let list = DeviceList {
        principal: root.principal(),
        sequence: 1,
        previous: [0; 32],
        issued: now,
        devices: vec![DeviceEntry {
            device: device.id(),
            signing: device.signing_public(),
            exchange: device.exchange_public(),
            not_after: now.plus(10 * YEAR),
        }],
        next: RootKey::random(rng).commitment(),
    };
    Identity {
        principal: root.principal(),
        devices: list.sign(&root),
        device,
        envelope: EnvelopeSecretKey::random(rng),
        envelope_since: now,
        retired: Vec::new(),
        card: GenerationKey::random(rng),
    }
}

/// The disk of somebody who has a view for contacts, and, if they take messages, the keys that begin a session with them.
#[must_use]
pub fn home(identity: Identity, config: &Config, now: UnixMillis, random: &mut Random) -> Snapshot {
    let mut disk = Snapshot::new(identity);
    if config.messages {
        let clock = Clock {
            unix: now,
            ..Clock::default()
        };
        // Only the core can make an account.
        let mut node = Node::restore(disk.clone(), config.clone(), random.seed(), clock);
        let _ = node.handle(clock, Input::Start);
        disk.account.clone_from(&node.snapshot().account);
    }
    let key = GenerationKey::random(random.generator());
    disk.views.insert(CONTACTS_VIEW.to_owned(), view(CONTACTS_VIEW, key));
    disk
}

fn view(name: &str, key: GenerationKey) -> ViewRow {
    ViewRow {
        name: name.to_owned(),
        generation: 1,
        key,
        projection: Projection::Full,
        rights: BTreeSet::from([Right::Fetch, Right::Subscribe]),
        own: None,
        reach: None,
    }
}

/// Makes somebody public.
pub fn publish(disk: &mut Snapshot, random: &mut Random) {
    let key = GenerationKey::random_public(&disk.identity.principal, random.generator());
    disk.views.insert(PUBLIC_VIEW.to_owned(), view(PUBLIC_VIEW, key));
}

/// The card of a disk's owner, as contacts have it.
#[must_use]
pub fn card(disk: &Snapshot, addresses: Vec<NodeAddress>, relays: Vec<NodeAddress>, now: UnixMillis) -> SignedCard {
    let bundle = Bundle {
        device: disk.identity.device.id(),
        envelope_key: disk.identity.envelope.public(),
        olm: disk.account.as_ref().map(|account| OlmKeys {
            identity: account.identity,
            fallback: account.fallback,
        }),
        addresses,
        relays,
        mailboxes: Vec::new(),
        issued: now,
    };
    bundle.sign(&disk.identity.device, &disk.identity.devices)
}

/// The row by which `theirs` is a contact, who granted the view of contacts and was granted it.
#[must_use]
pub fn contact(theirs: &Snapshot, name: String, card: &SignedCard, now: UnixMillis, random: &mut Random) -> ContactRow {
    let held = theirs.views.get(CONTACTS_VIEW).map(|view| HeldView {
        read: view.key.read_key(),
        generation: view.generation,
        sequence: now.0,
        rights: view.rights.clone(),
        not_after: now.plus(YEAR),
        public: false,
    });
    let granted = GrantedView {
        view: CONTACTS_VIEW.to_owned(),
        generation: 1,
        grant: RandomId::random(random.generator()),
        not_after: now.plus(YEAR),
        // Whatever grants of the view carry.
        rights: None,
    };
    row(theirs, name, card, now, held, Some(granted))
}

/// The row by which a public principal is watched, who does not know of it.
#[must_use]
pub fn public_contact(theirs: &Snapshot, name: String, card: &SignedCard, now: UnixMillis) -> ContactRow {
    let held = theirs.views.get(PUBLIC_VIEW).map(|view| HeldView {
        read: view.key.read_key(),
        generation: 1,
        sequence: 0,
        rights: view.rights.clone(),
        not_after: now.plus(YEAR / 12),
        public: true,
    });
    row(theirs, name, card, now, held, None)
}

fn row(
    theirs: &Snapshot,
    name: String,
    card: &SignedCard,
    now: UnixMillis,
    held: Option<HeldView>,
    granted: Option<GrantedView>,
) -> ContactRow {
    ContactRow {
        principal: theirs.identity.principal,
        name,
        told_name: None,
        added: now,
        card_key: theirs.identity.card.read_key(),
        card: card.clone(),
        access_sequence: if granted.is_some() { now.0 } else { 0 },
        held,
        granted,
        subscription: Some(SubscriptionState::Active),
        problem: None,
        poll: None,
        verified: None,
        given: None,
        one_time: None,
        blocked: None,
    }
}

/// Who knows whom, in pairs of numbers below `people`: everybody has `each` acquaintances in the mean. Half of them are neighbours
/// on a ring, whose friends are friends; the rest are drawn from all.
#[must_use]
pub fn acquaintances(people: u32, each: u32, random: &mut Random) -> BTreeSet<(u32, u32)> {
    let mut pairs = BTreeSet::new();
    let each = each.min(people.saturating_sub(1));
    let wanted = u64::from(people) * u64::from(each) / 2;
    let near = each / 4;
    for step in 1..=near {
        for one in 0..people {
            insert(&mut pairs, one, (one + step) % people);
        }
    }
    // Everybody has one at least.
    for one in 0..people {
        if (pairs.len() as u64) < wanted {
            let other = random.below(u64::from(people));
            insert(&mut pairs, one, u32::try_from(other).unwrap_or(0));
        }
    }
    // In a crowded world most draws hit a pair that there is; so many are enough for all that are left but a few.
    let mut draws = wanted.saturating_mul(20);
    while (pairs.len() as u64) < wanted && draws > 0 {
        draws -= 1;
        let (one, other) = (random.below(u64::from(people)), random.below(u64::from(people)));
        insert(
            &mut pairs,
            u32::try_from(one).unwrap_or(0),
            u32::try_from(other).unwrap_or(0),
        );
    }
    pairs
}

fn insert(pairs: &mut BTreeSet<(u32, u32)>, one: u32, other: u32) {
    if one != other {
        pairs.insert((one.min(other), one.max(other)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_as_many_contacts_as_the_scenario_says() {
        for (people, each) in [(2, 1), (10, 3), (100, 20), (1_000, 20)] {
            let pairs = acquaintances(people, each, &mut Random::new(1, 1));
            let mean = 2.0 * f64::from(u32::try_from(pairs.len()).unwrap()) / f64::from(people);
            assert!((mean - f64::from(each)).abs() <= 1.0, "{people} {each} {mean}");
        }
    }
}
