//! Requests and their answers, and relays that cheat with mailboxes.

use super::{EXCHANGE_TIMEOUT, World};
use crate::Who;
use crate::measures::Traffic;
use crate::member::Disk;
use crate::scenario::Deed;
use porchlight_proto::Input;
use porchlight_proto::input::ExchangeId;
use porchlight_wire::frame::{
    ExchangeNumber, Request, RequestFrame, Response, ResponseFrame, encode_request, encode_response,
};
use porchlight_wire::ids::{Address, NodeId};
use porchlight_wire::mailbox::{Entry, Held, MailboxId};
use porchlight_wire::stamp::Class;

/// An exchange under way, by the number that the answering side knows it by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exchange {
    from: Who,
    boot: u32,
    number: ExchangeId,
    kind: Traffic,
}

impl World {
    pub(super) fn send_request(
        &mut self,
        from: Who,
        number: ExchangeId,
        to: NodeId,
        addresses: &[Address],
        request: Request,
    ) {
        self.asks(from);
        let target = self.by_node.get(&to).copied();
        let Some(to) = target else {
            self.fails(from, EXCHANGE_TIMEOUT, number, false);
            return;
        };
        let linked = self.is_linked(from, to);
        let other = self.member(to);
        let dials = other.reachable && addresses.contains(&other.address.address);
        let frozen = other.mischief == Some(Deed::Freeze);
        let lost = self.fate.chance(self.scenario.faults.lose_requests.part());
        if lost || frozen || !(linked || (dials && self.can_reach(from, to))) {
            // A machine that runs and where nobody listens says so at once; anything else says nothing.
            let same_part = self.parts[from as usize] == self.parts[to as usize];
            let refused = !linked && dials && same_part && self.member(to).node.is_none();
            let after = if refused {
                2 * self.one_way(from, to, 64)
            } else {
                EXCHANGE_TIMEOUT
            };
            self.fails(from, after, number, false);
            return;
        }
        let bytes = encode_request(&RequestFrame {
            exchange: ExchangeNumber(1),
            request: request.clone(),
        })
        .len();
        let kind = kind(&request);
        self.count(from, to, kind, bytes);
        let boot = self.member(from).boot;
        self.last_exchange += 1;
        let exchange = self.last_exchange;
        let under_way = Exchange {
            from,
            boot,
            number,
            kind,
        };
        self.exchanges.insert(exchange, under_way);
        let trips = if linked { 1 } else { 4 };
        let after = trips * self.one_way(from, to, bytes);
        let input = Input::Request {
            from: self.member(from).address.node,
            exchange: ExchangeId(exchange),
            request,
        };
        self.tell(to, after, input);
        // The core drops this if an answer came.
        self.fails(from, EXCHANGE_TIMEOUT + after, number, true);
    }

    fn fails(&mut self, who: Who, after: u64, exchange: ExchangeId, perhaps_processed: bool) {
        let input = Input::ExchangeFailed {
            exchange,
            perhaps_processed,
            reason: "no answer".to_owned(),
        };
        self.tell(who, after, input);
    }

    pub(super) fn send_answer(&mut self, from: Who, exchange: ExchangeId, response: Response) {
        let Some(under_way) = self.exchanges.remove(&exchange.0) else {
            return;
        };
        let response = self.twisted(from, response);
        let to = under_way.from;
        let bytes = encode_response(&ResponseFrame {
            exchange: ExchangeNumber(1),
            response: response.clone(),
        })
        .len();
        self.count(from, to, under_way.kind, bytes);
        let lost = self.fate.chance(self.scenario.faults.lose_answers.part());
        if lost || !self.can_reach(from, to) || self.member(to).boot != under_way.boot {
            return;
        }
        let after = self.one_way(from, to, bytes);
        let input = Input::Response {
            exchange: under_way.number,
            response,
        };
        self.tell(to, after, input);
    }

    /// The driver's part: what is on disk is given out.
    pub(super) fn hand_out(&mut self, who: Who, exchange: ExchangeId, mailbox: MailboxId, numbers: &[u64]) {
        let member = self.member(who);
        let Disk::Kept(kept) = &member.disk else { return };
        let held = |number: &u64| {
            let envelope = kept.bodies.get(&(mailbox, *number))?.clone().into();
            let number = *number;
            Some(Held { number, envelope })
        };
        let envelopes = if member.mischief == Some(Deed::RepeatMail) {
            let all = kept.bodies.range((mailbox, 0)..=(mailbox, u64::MAX));
            all.filter_map(|((_, number), _)| held(number)).take(32).collect()
        } else {
            numbers.iter().filter_map(held).collect()
        };
        self.send_answer(who, exchange, Response::MailboxEnvelopes { envelopes });
    }

    /// What a relay that cheats says instead.
    fn twisted(&self, by: Who, response: Response) -> Response {
        let member = self.member(by);
        match (member.mischief, response) {
            (Some(Deed::HideMail), Response::MailboxList { .. }) => Response::MailboxList {
                entries: Vec::new(),
                more: false,
            },
            (Some(Deed::WithholdMail), Response::MailboxEnvelopes { .. }) => {
                let envelopes = Vec::new();
                Response::MailboxEnvelopes { envelopes }
            }
            (Some(Deed::RepeatMail), Response::MailboxList { entries, more }) => {
                let Disk::Kept(kept) = &member.disk else {
                    return Response::MailboxList { entries, more };
                };
                let all = kept.bodies.iter().take(256).map(|((_, number), body)| Entry {
                    number: *number,
                    bytes: u32::try_from(body.len()).unwrap_or(u32::MAX),
                    class: Class::Contact,
                });
                let entries = all.collect();
                Response::MailboxList { entries, more: false }
            }
            (_, response) => response,
        }
    }
}

const fn kind(request: &Request) -> Traffic {
    match request {
        Request::Deliver { .. } => Traffic::Envelope,
        Request::Direct { .. } => Traffic::Direct,
        Request::Hello { .. } | Request::Prove { .. } => Traffic::Hello,
        Request::MailboxDeposit { .. } | Request::Mailbox(_) | Request::MailboxArrived { .. } => Traffic::Mailbox,
        Request::RecordPut { .. } | Request::RecordGet { .. } | Request::Relays {} => Traffic::DhtLookup,
        Request::RecordFollow { .. } => Traffic::Follow,
    }
}
