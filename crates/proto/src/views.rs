//! Named views: classes of watchers, and what each of them sees. And the ledgers of what was given out: grants, watchers
//! (watcher information, RFC 3857), invites.

use crate::contacts::{CONTACTS_VIEW, NO_VIEW, check_name, full};
use crate::event::Event;
use crate::limits::VIEWS;
use crate::node::Node;
use crate::presence::watcher::not_found;
use crate::public::PUBLIC_VIEW;
use crate::publication::Name;
use crate::reply::{CommandError, GrantInfo, InviteInfo, Reply, ViewInfo, WatcherInfo, WatcherState};
use crate::rows::{ContactRow, GrantedView, LetterRow, Projection, ReachLevel, ViewRow};
use crate::step::Write;
use porchlight_wire::blind::GenerationKey;
use porchlight_wire::grant::Right;
use porchlight_wire::ids::{PrincipalId, RandomId};
use porchlight_wire::letter::LetterBody;
use std::collections::BTreeSet;

impl Node {
    /// `Command::CreateView`.
    pub(crate) fn command_create_view(
        &mut self,
        name: &str,
        projection: Projection,
        rights: BTreeSet<Right>,
        reach: Option<ReachLevel>,
    ) -> Result<Reply, CommandError> {
        check_name(name)?;
        if [CONTACTS_VIEW, NO_VIEW].contains(&name) || self.disk.views.contains_key(name) {
            return Err(CommandError::Exists {
                what: "view".to_owned(),
                name: name.to_owned(),
            });
        }
        if self.disk.views.len() >= VIEWS {
            return Err(full("view", VIEWS));
        }
        let public = name == PUBLIC_VIEW;
        if public && !rights.contains(&Right::Subscribe) {
            return Err(CommandError::Invalid {
                what: "what the public view allows".to_owned(),
                expected: "to be notified, because nobody can tell who watches it".to_owned(),
                got: "to fetch only".to_owned(),
            });
        }
        let row = ViewRow {
            name: name.to_owned(),
            generation: 1,
            key: if public {
                GenerationKey::random_public(&self.disk.identity.principal, &mut self.rng)
            } else {
                GenerationKey::random(&mut self.rng)
            },
            projection,
            rights,
            reach,
            own: None,
        };
        self.write(Write::PutView(row.clone()));
        if public {
            self.touch_sheet();
            self.interest_changed = true;
        }
        Ok(Reply::View(self.view_info(&row)))
    }

    /// `Command::UpdateView`: whoever watches it learns from the next record on where our node is, or no longer does. What they
    /// were told they know.
    pub(crate) fn command_update_view(&mut self, name: &str, reach: ReachLevel) -> Result<Reply, CommandError> {
        if name != CONTACTS_VIEW && !self.disk.views.contains_key(name) {
            return Err(not_found("view", name));
        }
        let mut row = self.ensure_view(name);
        if row.reach != Some(reach) {
            row.reach = Some(reach);
            self.write(Write::PutView(row.clone()));
            self.touch_reach();
            self.interest_changed = true;
        }
        Ok(Reply::View(self.view_info(&row)))
    }

    /// `Command::DeleteView`: only one that nobody holds, or will hold by an invite.
    pub(crate) fn command_delete_view(&mut self, name: &str) -> Result<Reply, CommandError> {
        let Some(row) = self.disk.views.get(name).cloned() else {
            return Err(not_found("view", name));
        };
        if name == CONTACTS_VIEW {
            return Err(CommandError::InUse {
                what: "view".to_owned(),
                name: name.to_owned(),
                by: "every invite that names no other".to_owned(),
            });
        }
        let info = self.view_info(&row);
        if !info.contacts.is_empty() || info.invites > 0 {
            let mut by = info.contacts.join(", ");
            if info.invites > 0 {
                let invites = format!("{} invite(s)", info.invites);
                by = if by.is_empty() {
                    invites
                } else {
                    format!("{by} and {invites}")
                };
            }
            return Err(CommandError::InUse {
                what: "view".to_owned(),
                name: name.to_owned(),
                by,
            });
        }
        if name == PUBLIC_VIEW {
            // Whoever watches it is told that it has ended, and the sheet that names it is replaced.
            self.close(&row);
            self.touch_sheet();
        }
        self.publications.remove(&Name::View(name.to_owned()));
        self.write(Write::DeleteView(name.to_owned()));
        self.interest_changed = true;
        Ok(Reply::View(info))
    }

    /// `Command::ListViews`.
    pub(crate) fn command_list_views(&mut self) -> Reply {
        self.ensure_view(CONTACTS_VIEW);
        Reply::Views(self.disk.views.values().map(|row| self.view_info(row)).collect())
    }

    fn view_info(&self, row: &ViewRow) -> ViewInfo {
        let mut contacts: Vec<String> = self
            .disk
            .contacts
            .values()
            .filter(|contact| contact.granted.as_ref().is_some_and(|granted| granted.view == row.name))
            .map(|contact| contact.name.clone())
            .collect();
        contacts.sort();
        let invites = self
            .disk
            .invites
            .values()
            .filter(|invite| invite.view == row.name && invite.uses_left() > 0);
        ViewInfo {
            name: row.name.clone(),
            projection: row.projection,
            rights: row.rights.clone(),
            reach: self.reach_level(row),
            generation: row.generation,
            contacts,
            invites: u32::try_from(invites.count()).unwrap_or(u32::MAX),
        }
    }

    /// Whether there is a view of this name that can be granted.
    pub(crate) fn known_view(&self, name: &str) -> Result<(), CommandError> {
        if name == PUBLIC_VIEW {
            return Err(CommandError::Invalid {
                what: "the view".to_owned(),
                expected: "one to be granted; 'public' is seen by everyone who knows your id".to_owned(),
                got: format!("'{name}'"),
            });
        }
        if [CONTACTS_VIEW, NO_VIEW].contains(&name) || self.disk.views.contains_key(name) {
            Ok(())
        } else {
            Err(not_found("view", name))
        }
    }

    /// `Command::UpdateContact`: another petname, another view, or both.
    pub(crate) fn command_update_contact(
        &mut self,
        contact: &str,
        name: Option<&str>,
        view: Option<&str>,
    ) -> Result<Reply, CommandError> {
        let mut row = self.find_contact(contact)?.clone();
        let principal = row.principal;
        if let Some(name) = name {
            check_name(name)?;
            self.check_free(name, &principal)?;
        }
        if let Some(view) = view {
            self.known_view(view)?;
            if row.is_public_only() {
                return Err(CommandError::Stranger { name: row.name });
            }
        }
        if let Some(name) = name {
            row.name = name.to_owned();
            self.put_contact(row.clone());
        }
        if let Some(view) = view
            && row.granted.as_ref().is_none_or(|granted| granted.view != view)
        {
            self.move_to_view(&row, view);
        }
        let row = self.find_contact(&row.name)?;
        Ok(Reply::Contact(self.contact_info(row)))
    }

    /// Grants a contact another view; the one they held moves on without them.
    fn move_to_view(&mut self, row: &ContactRow, view: &str) {
        self.give_grant(&row.principal, view);
        if let Some(granted) = &row.granted {
            self.end_access(row, granted);
        }
        let now = self.disk.contacts.get(&row.principal);
        if !now.and_then(|now| now.granted.as_ref()).is_some_and(GrantedView::shows) {
            return;
        }
        self.tell(Event::WatcherApproved {
            contact: row.name.clone(),
            principal: row.principal,
            view: view.to_owned(),
        });
    }

    /// `Command::ListGrants`.
    pub(crate) fn command_list_grants(&self) -> Reply {
        let mut grants: Vec<GrantInfo> = self
            .disk
            .contacts
            .values()
            .filter_map(|contact| {
                let granted = contact.granted.as_ref()?;
                let of_view = || self.disk.views.get(&granted.view).map(|view| view.rights.clone());
                let rights = granted.rights.clone().or_else(of_view);
                Some(GrantInfo {
                    contact: contact.name.clone(),
                    principal: contact.principal,
                    id: granted.grant,
                    view: granted.view.clone(),
                    rights: rights.unwrap_or_default(),
                    generation: granted.generation,
                    not_after: granted.not_after,
                    delivered: !self.grant_waits(&contact.principal),
                })
            })
            .collect();
        grants.sort_by(|one, other| one.contact.cmp(&other.contact));
        Reply::Grants(grants)
    }

    /// `Command::ListWatchers`.
    pub(crate) fn command_list_watchers(&self) -> Reply {
        let of_contacts = self.disk.contacts.values().filter_map(|contact| {
            let granted = contact.granted.as_ref().filter(|granted| granted.shows())?;
            let state = if self.grant_waits(&contact.principal) {
                WatcherState::Waiting
            } else {
                WatcherState::Active
            };
            Some(WatcherInfo {
                contact: contact.name.clone(),
                principal: contact.principal,
                view: Some(granted.view.clone()),
                state,
                connected: self.is_connected(&contact.principal),
                node: self.card_node(&contact.principal),
            })
        });
        let former = self.disk.former.values().map(|row| WatcherInfo {
            contact: row.name.clone(),
            principal: row.principal,
            view: None,
            state: WatcherState::Terminated,
            connected: false,
            node: None,
        });
        let mut watchers: Vec<WatcherInfo> = of_contacts.chain(former).collect();
        watchers.sort_by(|one, other| one.contact.cmp(&other.contact));
        Reply::Watchers(watchers)
    }

    /// Whether a grant of ours still waits to be delivered to them.
    pub(crate) fn grant_waits(&self, to: &PrincipalId) -> bool {
        let carries = |letter: &LetterRow| match &letter.body {
            LetterBody::Introduce { grant, .. } => grant.is_some(),
            LetterBody::Grant { .. } => true,
            LetterBody::Renew {} | LetterBody::Ended { .. } | LetterBody::Refused { .. } | LetterBody::Post { .. } => {
                false
            }
        };
        self.disk
            .letters
            .values()
            .any(|letter| letter.to == *to && carries(letter))
    }

    /// `Command::ListInvites`.
    pub(crate) fn command_list_invites(&self) -> Reply {
        let mut invites: Vec<InviteInfo> = self
            .disk
            .invites
            .values()
            .map(|row| InviteInfo {
                id: row.id,
                view: row.view.clone(),
                uses: row.uses,
                uses_left: row.uses_left(),
                used_by: row
                    .used_by
                    .iter()
                    .map(|who| {
                        self.disk
                            .contacts
                            .get(who)
                            .map_or_else(|| who.short(), |contact| contact.name.clone())
                    })
                    .collect(),
                created: row.created,
                expires: row.expires,
            })
            .collect();
        invites.sort_by_key(|invite| (invite.created, invite.id));
        Reply::Invites(invites)
    }

    /// `Command::RevokeInvite`: nobody can use it from now on. Those who did stay contacts.
    pub(crate) fn command_revoke_invite(&mut self, invite: &RandomId) -> Result<Reply, CommandError> {
        let Some(row) = self.disk.invites.get(invite) else {
            return Err(not_found("invite", &invite.to_string()));
        };
        if row.uses_left() > 0 {
            self.end_invite(invite);
        }
        Ok(Reply::InviteRevoked { id: *invite })
    }

    /// Ends an invite before its time: nobody can use it, and nobody reads by it.
    pub(crate) fn end_invite(&mut self, invite: &RandomId) {
        let Some(mut row) = self.disk.invites.get(invite).cloned() else {
            return;
        };
        row.uses = u32::try_from(row.used_by.len()).unwrap_or(u32::MAX);
        self.write(Write::PutInvite(row));
        self.end_invite_records(invite);
        self.tell(Event::InviteRevoked { invite: *invite });
        self.interest_changed = true;
    }
}
