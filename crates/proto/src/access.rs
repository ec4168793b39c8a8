//! Access rules (RFC 2778 section 2.3): one pure function says who may do what. It is asked in two places: when the
//! presence document is projected into a view, and when anything comes in. Nothing else decides.

use crate::public::PUBLIC_VIEW;
use crate::rows::{GrantedView, Projection, SubscriptionState, ViewRow};
use crate::snapshot::Snapshot;
use porchlight_wire::grant::Right;
use porchlight_wire::ids::{PrincipalId, RandomId};
use porchlight_wire::invite::InviteToken;
use porchlight_wire::time::UnixMillis;

/// Who wants something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject<'a> {
    /// The class of watchers that hold a view.
    View(&'a str),
    /// Whoever holds an invite of ours, before they are a contact.
    InviteHolder(RandomId),
    /// Someone who shows an invite's token and says who they are.
    TokenHolder(&'a InviteToken, PrincipalId),
    /// A principal whose signature was checked.
    Principal(PrincipalId),
    /// Whoever knows a principal's id.
    Everyone,
}

/// What they want.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// See presence: a published projection of ours, or theirs by a fetch.
    Fetch,
    /// Have a notification of theirs surface here.
    Notify,
    /// Become a contact.
    Introduce,
    /// Have a letter or a message read.
    Write,
}

/// What it is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Our own presence.
    OwnPresence,
    /// The presence of a contact, as held here.
    PresenceOf(PrincipalId),
    /// Our inbox of letters.
    Letters,
    /// Our instant inbox (RFC 2778 section 2.2): its delivery rules are that contacts may write, unless they are blocked.
    Inbox,
}

/// What [`decide`] says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Yes; where presence is to be shown, this much of it.
    Allow(Projection),
    /// No.
    Deny(Denial),
}

impl Decision {
    /// Whether it is a yes.
    #[must_use]
    pub const fn allowed(self) -> bool {
        matches!(self, Self::Allow(_))
    }
}

/// Why not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial {
    /// No such view, invite or contact.
    Unknown,
    /// It was there and has ended.
    Expired,
    /// All uses are spent.
    UsedUp,
    /// We are not subscribed.
    NotSubscribed,
    /// What we hold does not cover it.
    NotGranted,
    /// Their messages are not wanted.
    Blocked,
    /// This subject can never do that.
    NotApplicable,
}

/// Whether `subject` may do `action` to `resource` at `now`.
#[must_use]
pub fn decide(disk: &Snapshot, subject: &Subject<'_>, action: Action, resource: Resource, now: UnixMillis) -> Decision {
    match (subject, action, resource) {
        (Subject::View(name), Action::Fetch, Resource::OwnPresence) => view(disk, name, now),
        (Subject::InviteHolder(id), Action::Fetch, Resource::OwnPresence) => invite_holder(disk, id, now),
        (Subject::TokenHolder(token, principal), Action::Introduce, Resource::Letters) => {
            token_holder(disk, token, principal, now)
        }
        (Subject::Principal(principal), Action::Notify, Resource::PresenceOf(of)) if principal == &of => {
            notification(disk, principal, now)
        }
        (Subject::Principal(principal), Action::Fetch, Resource::PresenceOf(of)) if principal == &of => {
            held(disk, principal, Right::Fetch, now)
        }
        // What somebody shows to everyone may be asked for by us too. What it is, their identity sheet says.
        (Subject::Everyone, Action::Fetch, Resource::PresenceOf(_)) => Decision::Allow(Projection::Full),
        (Subject::Everyone, Action::Fetch, Resource::OwnPresence) => view(disk, PUBLIC_VIEW, now),
        (Subject::Principal(principal), Action::Write, Resource::Letters) => {
            if disk.contacts.contains_key(principal) {
                Decision::Allow(Projection::Full)
            } else {
                Decision::Deny(Denial::Unknown)
            }
        }
        (Subject::Principal(principal), Action::Write, Resource::Inbox) => match disk.contacts.get(principal) {
            None => Decision::Deny(Denial::Unknown),
            Some(contact) if contact.blocked.is_some() => Decision::Deny(Denial::Blocked),
            Some(_) => Decision::Allow(Projection::Full),
        },
        (
            Subject::View(_)
            | Subject::InviteHolder(_)
            | Subject::TokenHolder(..)
            | Subject::Principal(_)
            | Subject::Everyone,
            Action::Fetch | Action::Notify | Action::Introduce | Action::Write,
            Resource::OwnPresence | Resource::PresenceOf(_) | Resource::Letters | Resource::Inbox,
        ) => Decision::Deny(Denial::NotApplicable),
    }
}

/// A view is shown what it projects, as long as somebody holds its current generation by a grant that has not ended. The
/// public one is everybody's while it exists.
fn view(disk: &Snapshot, name: &str, now: UnixMillis) -> Decision {
    let Some(view) = disk.views.get(name) else {
        return Decision::Deny(Denial::Unknown);
    };
    let reads = |granted: &GrantedView| {
        granted.shows() && granted.view == name && granted.generation == view.generation && granted.not_after > now
    };
    let watched = name == PUBLIC_VIEW
        || disk
            .contacts
            .values()
            .any(|contact| contact.granted.as_ref().is_some_and(reads));
    if watched && !view.shows_nothing() {
        Decision::Allow(view.projection)
    } else {
        Decision::Deny(Denial::NotGranted)
    }
}

fn invite_holder(disk: &Snapshot, id: &RandomId, now: UnixMillis) -> Decision {
    match disk.invites.get(id) {
        None => Decision::Deny(Denial::Unknown),
        Some(invite) if invite.expires <= now => Decision::Deny(Denial::Expired),
        Some(invite) if invite.uses_left() == 0 => Decision::Deny(Denial::UsedUp),
        // Who will be shown nothing is shown nothing before.
        Some(invite) if disk.views.get(&invite.view).is_some_and(ViewRow::shows_nothing) => {
            Decision::Deny(Denial::NotGranted)
        }
        Some(_) => Decision::Allow(Projection::StatusOnly),
    }
}

fn token_holder(disk: &Snapshot, token: &InviteToken, principal: &PrincipalId, now: UnixMillis) -> Decision {
    match disk.invites.values().find(|invite| &invite.token == token) {
        None => Decision::Deny(Denial::Unknown),
        Some(invite) if invite.barred.contains(principal) => Decision::Deny(Denial::UsedUp),
        // Who has used it before repeats themselves because our answer was lost: that must not cost another use.
        Some(invite) if invite.used_by.contains(principal) => Decision::Allow(Projection::Full),
        Some(invite) if invite.expires <= now => Decision::Deny(Denial::Expired),
        Some(invite) if invite.uses_left() == 0 => Decision::Deny(Denial::UsedUp),
        Some(_) => Decision::Allow(Projection::Full),
    }
}

/// No notification without a live subscription and a grant that covers it.
fn notification(disk: &Snapshot, principal: &PrincipalId, now: UnixMillis) -> Decision {
    let Some(contact) = disk.contacts.get(principal) else {
        return Decision::Deny(Denial::Unknown);
    };
    match contact.subscription {
        Some(SubscriptionState::Active | SubscriptionState::Stale) => held(disk, principal, Right::Subscribe, now),
        // The temporary view of an invite is fetched on a schedule; it carries no right to be notified.
        Some(SubscriptionState::Provisional) => held(disk, principal, Right::Fetch, now),
        Some(SubscriptionState::Pending | SubscriptionState::Cancelled | SubscriptionState::Refused) | None => {
            Decision::Deny(Denial::NotSubscribed)
        }
    }
}

fn held(disk: &Snapshot, principal: &PrincipalId, right: Right, now: UnixMillis) -> Decision {
    let Some(contact) = disk.contacts.get(principal) else {
        return Decision::Deny(Denial::Unknown);
    };
    match &contact.held {
        None => Decision::Deny(Denial::NotGranted),
        Some(held) if held.not_after <= now => Decision::Deny(Denial::Expired),
        Some(held) if held.rights.contains(&right) => Decision::Allow(Projection::Full),
        Some(_) => Decision::Deny(Denial::NotGranted),
    }
}

#[cfg(test)]
#[path = "access/tests.rs"]
mod tests;
