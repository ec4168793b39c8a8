use super::*;
use crate::rows::{ContactRow, GrantedView, HeldView, Identity, InviteRow, ViewRow};
use porchlight_wire::blind::GenerationKey;
use porchlight_wire::card::Bundle;
use porchlight_wire::device_list::{DeviceEntry, DeviceList};
use porchlight_wire::envelope::EnvelopeSecretKey;
use porchlight_wire::keys::{DeviceKeys, RootKey};
use proptest::prelude::*;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng;
use std::collections::BTreeSet;

const NOW: UnixMillis = UnixMillis(1_790_000_000_000);

const STATES: [Option<SubscriptionState>; 7] = [
    None,
    Some(SubscriptionState::Provisional),
    Some(SubscriptionState::Pending),
    Some(SubscriptionState::Active),
    Some(SubscriptionState::Stale),
    Some(SubscriptionState::Cancelled),
    Some(SubscriptionState::Refused),
];

const ACTIONS: [Action; 4] = [Action::Fetch, Action::Notify, Action::Introduce, Action::Write];

fn identity(seed: u8) -> Identity {
    let mut rng = ChaCha20Rng::from_seed([seed; 32]);
    let root = RootKey::random(&mut rng);
    let device = DeviceKeys::random(&mut rng);
    let list = DeviceList {
        principal: root.principal(),
        sequence: 1,
        previous: [0; 32],
        issued: NOW,
        devices: vec![DeviceEntry {
            device: device.id(),
            signing: device.signing_public(),
            exchange: device.exchange_public(),
            not_after: NOW.plus(1_000_000),
        }],
        next: RootKey::random(&mut rng).commitment(),
    };
    Identity {
        principal: root.principal(),
        devices: list.sign(&root),
        device,
        envelope: EnvelopeSecretKey::random(&mut rng),
        envelope_since: NOW,
        retired: Vec::new(),
        card: GenerationKey::random(&mut rng),
    }
}

fn contact(of: &Identity) -> ContactRow {
    let bundle = Bundle {
        device: of.device.id(),
        envelope_key: of.envelope.public(),
        olm: None,
        addresses: Vec::new(),
        relays: Vec::new(),
        mailboxes: Vec::new(),
        issued: NOW,
    };
    ContactRow {
        principal: of.principal,
        name: "them".to_owned(),
        told_name: None,
        added: NOW,
        card_key: of.card.read_key(),
        card: bundle.sign(&of.device, &of.devices),
        held: None,
        granted: None,
        subscription: None,
        access_sequence: 0,
        problem: None,
        poll: None,
        verified: None,
        given: None,
        one_time: None,
        blocked: None,
    }
}

fn held(rights: &[Right], not_after: UnixMillis) -> HeldView {
    HeldView {
        read: GenerationKey::from_bytes(&[5; 64]).read_key(),
        generation: 1,
        sequence: 1,
        rights: rights.iter().copied().collect(),
        not_after,
        public: false,
    }
}

fn granted(view: &str, generation: u64) -> GrantedView {
    GrantedView {
        view: view.to_owned(),
        generation,
        grant: RandomId::from_bytes([1; 16]),
        not_after: NOW.plus(1_000),
        rights: None,
    }
}

fn invite(uses: u32, expires: UnixMillis) -> InviteRow {
    InviteRow {
        id: RandomId::from_bytes([2; 16]),
        token: InviteToken::from_bytes([3; 16]),
        record: GenerationKey::from_bytes(&[6; 64]),
        temporary: GenerationKey::from_bytes(&[7; 64]),
        view: "contacts".to_owned(),
        uses,
        used_by: BTreeSet::new(),
        barred: BTreeSet::new(),
        created: NOW,
        expires,
    }
}

fn view(name: &str, projection: Projection) -> ViewRow {
    ViewRow {
        name: name.to_owned(),
        generation: 2,
        key: GenerationKey::from_bytes(&[8; 64]),
        projection,
        rights: BTreeSet::from([Right::Fetch, Right::Subscribe]),
        own: None,
        reach: None,
    }
}

/// A home with one contact, one view and one invite.
fn furnished() -> (Snapshot, PrincipalId) {
    let them = identity(2);
    let mut disk = Snapshot::new(identity(1));
    let mut row = contact(&them);
    row.held = Some(held(&[Right::Fetch, Right::Subscribe], NOW.plus(1_000)));
    row.granted = Some(granted("contacts", 2));
    row.subscription = Some(SubscriptionState::Active);
    disk.contacts.insert(row.principal, row);
    let row = view("contacts", Projection::Full);
    disk.views.insert(row.name.clone(), row);
    let row = invite(1, NOW.plus(1_000));
    disk.invites.insert(row.id, row);
    (disk, them.principal)
}

#[test]
fn who_knows_nobody_allows_nothing() {
    let disk = Snapshot::new(identity(1));
    let stranger = identity(2).principal;
    let token = InviteToken::from_bytes([3; 16]);
    let subjects = [
        Subject::View("contacts"),
        Subject::InviteHolder(RandomId::from_bytes([2; 16])),
        Subject::TokenHolder(&token, stranger),
        Subject::Principal(stranger),
        Subject::Principal(disk.identity.principal),
    ];
    for subject in &subjects {
        for action in ACTIONS {
            for resource in [Resource::OwnPresence, Resource::PresenceOf(stranger), Resource::Letters] {
                let decision = decide(&disk, subject, action, resource, NOW);
                assert!(!decision.allowed(), "{subject:?} may {action:?} {resource:?}");
            }
        }
    }
}

#[test]
fn each_subject_may_do_what_it_is_for_and_nothing_else() {
    let (disk, them) = furnished();
    let token = InviteToken::from_bytes([3; 16]);
    let newcomer = identity(3).principal;
    let subjects = [
        Subject::View("contacts"),
        Subject::InviteHolder(RandomId::from_bytes([2; 16])),
        Subject::TokenHolder(&token, newcomer),
        Subject::Principal(them),
    ];
    let mut allowed = Vec::new();
    for (number, subject) in subjects.iter().enumerate() {
        for action in ACTIONS {
            for resource in [
                Resource::OwnPresence,
                Resource::PresenceOf(them),
                Resource::PresenceOf(newcomer),
                Resource::Letters,
            ] {
                if let Decision::Allow(projection) = decide(&disk, subject, action, resource, NOW) {
                    allowed.push((number, action, resource, projection));
                }
            }
        }
    }
    let full = Projection::Full;
    assert_eq!(
        allowed,
        [
            (0, Action::Fetch, Resource::OwnPresence, full),
            (1, Action::Fetch, Resource::OwnPresence, Projection::StatusOnly),
            (2, Action::Introduce, Resource::Letters, full),
            (3, Action::Fetch, Resource::PresenceOf(them), full),
            (3, Action::Notify, Resource::PresenceOf(them), full),
            (3, Action::Write, Resource::Letters, full),
        ]
    );
}

#[test]
fn a_view_is_shown_while_somebody_holds_its_current_generation() {
    let (mut disk, them) = furnished();
    let fetch = |disk: &Snapshot, now| {
        decide(
            disk,
            &Subject::View("contacts"),
            Action::Fetch,
            Resource::OwnPresence,
            now,
        )
    };
    assert_eq!(fetch(&disk, NOW), Decision::Allow(Projection::Full));
    assert_eq!(
        fetch(&disk, NOW.plus(1_000)),
        Decision::Deny(Denial::NotGranted),
        "every grant has ended"
    );
    disk.views.get_mut("contacts").unwrap().generation = 3;
    assert_eq!(
        fetch(&disk, NOW),
        Decision::Deny(Denial::NotGranted),
        "nobody was moved over yet"
    );
    disk.contacts.get_mut(&them).unwrap().granted = Some(granted("another view", 3));
    assert_eq!(fetch(&disk, NOW), Decision::Deny(Denial::NotGranted));
    disk.contacts.get_mut(&them).unwrap().granted = Some(granted("contacts", 3));
    assert!(fetch(&disk, NOW).allowed());
}

#[test]
fn who_has_used_an_invite_may_repeat_themselves_and_nobody_else() {
    let (mut disk, _) = furnished();
    let (first, second) = (identity(3).principal, identity(4).principal);
    let token = InviteToken::from_bytes([3; 16]);
    let introduce = |disk: &Snapshot, who, now| {
        decide(
            disk,
            &Subject::TokenHolder(&token, who),
            Action::Introduce,
            Resource::Letters,
            now,
        )
    };
    let invite = disk.invites.values_mut().next().unwrap();
    invite.used_by.insert(first);
    assert!(introduce(&disk, first, NOW).allowed());
    assert!(
        introduce(&disk, first, NOW.plus(2_000)).allowed(),
        "also after its end, while we remember it"
    );
    assert_eq!(introduce(&disk, second, NOW), Decision::Deny(Denial::UsedUp));
    assert_eq!(
        introduce(&disk, second, NOW.plus(2_000)),
        Decision::Deny(Denial::Expired)
    );
}

proptest! {
    #[test]
    fn no_notification_without_a_live_subscription_and_a_grant_that_covers_it(
        state in 0..STATES.len(),
        holds in any::<bool>(),
        fetch in any::<bool>(),
        subscribe in any::<bool>(),
        ends_in in -2_i64..3,
    ) {
        let (mut disk, them) = furnished();
        let mut rights = Vec::new();
        rights.extend(fetch.then_some(Right::Fetch));
        rights.extend(subscribe.then_some(Right::Subscribe));
        let not_after = UnixMillis(NOW.0.saturating_add_signed(ends_in));
        let row = disk.contacts.get_mut(&them).unwrap();
        row.subscription = STATES[state];
        row.held = holds.then(|| held(&rights, not_after));
        let subject = Subject::Principal(them);
        let may = |action| decide(&disk, &subject, action, Resource::PresenceOf(them), NOW).allowed();

        let holds = holds && not_after > NOW;
        let covered = match STATES[state] {
            Some(SubscriptionState::Active | SubscriptionState::Stale) => subscribe,
            Some(SubscriptionState::Provisional) => fetch,
            Some(SubscriptionState::Pending | SubscriptionState::Cancelled | SubscriptionState::Refused) | None => false,
        };
        prop_assert_eq!(may(Action::Notify), holds && covered);
        prop_assert_eq!(may(Action::Fetch), holds && fetch);
        let stranger = Subject::Principal(identity(9).principal);
        prop_assert!(!decide(&disk, &stranger, Action::Notify, Resource::PresenceOf(them), NOW).allowed());
    }

    #[test]
    fn an_invite_admits_no_more_than_its_uses_and_not_after_its_end(
        uses in 1_u32..5,
        used in 0_u8..6,
        ends_in in -2_i64..3,
    ) {
        let (mut disk, _) = furnished();
        let mut row = invite(uses, UnixMillis(NOW.0.saturating_add_signed(ends_in)));
        row.used_by = (0..used).map(|number| identity(20 + number).principal).collect();
        let (id, token) = (row.id, row.token.clone());
        disk.invites.insert(id, row);
        let good = ends_in > 0 && u32::from(used) < uses;
        let newcomer = Subject::TokenHolder(&token, identity(3).principal);
        prop_assert_eq!(decide(&disk, &newcomer, Action::Introduce, Resource::Letters, NOW).allowed(), good);
        let holder = Subject::InviteHolder(id);
        let shown = decide(&disk, &holder, Action::Fetch, Resource::OwnPresence, NOW);
        prop_assert_eq!(shown.allowed(), good);
        if good {
            prop_assert_eq!(shown, Decision::Allow(Projection::StatusOnly));
        }
    }
}
