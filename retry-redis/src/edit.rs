//! Edits as arguments of a script (the form is described in `lua/part/edit.lua`), and its answers.

use retry_core::limits::MAX_VERSION;
use retry_core::store::{Applied, Result, Took};
use retry_core::task::{Action, Change, Cold, CompletionChange, Edit, FailedAttempt, Field, State, Target};
use retry_core::time::Timestamp;

use crate::args::Args;
use crate::codec;
use crate::error::unexpected;
use crate::insert::{self, inserted};
use crate::record::{self, FORMAT, Marks, flag, opt_time, tag};
use crate::reply::{Replies, Reply};

/// Numbers of the actions.
mod action {
    pub(super) const SET: u8 = 0;
    pub(super) const REQUEST_CANCEL: u8 = 1;
    pub(super) const STORE_COMPLETION: u8 = 2;
    pub(super) const DELETE: u8 = 3;
}

/// Adds an edit.
pub(crate) fn push(edit: &Edit, now: Timestamp, args: &mut Args) {
    let (number, from) = match &edit.action {
        Action::Set(change) => (action::SET, change.from.code()),
        Action::RequestCancel => (action::REQUEST_CANCEL, 0),
        Action::StoreCompletion(_) => (action::STORE_COMPLETION, 0),
        Action::Delete { from } => (action::DELETE, from.code()),
    };
    let alternatives = if let Action::Set(change) = &edit.action {
        alternatives(change)
    } else {
        [None; 3]
    };
    let bits = (0u8..).zip(alternatives);
    let bits = bits.fold(0, |bits, (at, target)| bits | u8::from(target.is_some()) << at);
    let main = match &edit.action {
        Action::Set(change) => Some(&change.to),
        _ => None,
    };
    let targets = main.into_iter().chain(alternatives.into_iter().flatten());
    let targets: Vec<Written<'_>> = targets.map(Written::new).collect();
    let plain = plain_args(edit, &targets);
    // Checked before: at most 1,000.
    let inserts = u16::try_from(edit.insert.len()).unwrap_or(u16::MAX);
    args.build(|out| {
        out.extend(edit.id.to_bytes());
        out.extend(plain.map_or([0; 4], |_| [FORMAT, 0, 0, from]));
        out.extend(edit.version.to_be_bytes());
        out.extend(edit.nonce.get().to_be_bytes());
        out.extend([number, from, bits, plain.unwrap_or(0)]);
        out.extend(inserts.to_be_bytes());
        for target in &targets {
            // A target has at most a dozen texts.
            out.extend([target.keep, u8::try_from(target.rare.len()).unwrap_or(u8::MAX)]);
        }
    });
    for target in &targets {
        target.push(edit, now, args);
    }
    if let Action::StoreCompletion(completion) = &edit.action {
        args.build(|out| {
            out.extend(completion.step.to_be_bytes());
            out.extend(completion.to_stored().as_bytes());
        });
    }
    for task in &edit.insert {
        insert::new(task, now, args);
    }
}

/// The number of arguments of a settle that may go the short way of the scripts: the success of a running task, kept or deleted,
/// that writes and inserts nothing else, and has no alternative but a cancel.
fn plain_args(edit: &Edit, targets: &[Written<'_>]) -> Option<u8> {
    let plain = edit.insert.is_empty()
        && match (&edit.action, targets) {
            (Action::Delete { from }, _) => *from == State::Running,
            (Action::Set(change), [main, ..]) => {
                change.from == State::Running
                    && change.to.state == State::Succeeded
                    && change.to.alarm_at.is_none()
                    && change.if_completed.is_none()
                    && change.if_none_open.is_none()
                    && main.rare.is_empty()
            }
            _ => false,
        };
    let args = targets
        .iter()
        .fold(1, |args, target| args + 1 + target.rare.len());
    u8::try_from(args).ok().filter(|_| plain)
}

fn alternatives(change: &Change) -> [Option<&Target>; 3] {
    [&change.if_cancelled, &change.if_completed, &change.if_none_open].map(|target| target.as_deref())
}

/// One rarely written value: its tag, what to do, and the value.
type Rare = (u8, u8, Vec<u8>);

/// A target as it is sent.
struct Written<'a> {
    target: &'a Target,
    /// Flags that it sets, and those that it leaves.
    flags: u8,
    keep: u8,
    rare: Vec<Rare>,
}

impl<'a> Written<'a> {
    fn new(target: &'a Target) -> Self {
        let (mut flags, mut keep) = (0, 0);
        if target.holds_key {
            flags |= flag::HOLDS_KEY;
        }
        let via_fallback = target.cold.as_ref().and_then(|cold| cold.via_fallback);
        for (bit, wanted) in [
            (flag::CANCEL, target.cancel_requested),
            (flag::VIA_FALLBACK, via_fallback),
        ] {
            match wanted {
                Some(true) => flags |= bit,
                Some(false) => {}
                None => keep |= bit,
            }
        }
        Self {
            target,
            flags,
            keep,
            rare: rare(target),
        }
    }

    fn push(&self, edit: &Edit, now: Timestamp, args: &mut Args) {
        let marks = Marks {
            flags: self.flags,
            version: edit.version.saturating_add(1).min(MAX_VERSION),
            nonce: edit.nonce.get(),
            now,
        };
        args.build(|out| record::target(self.target, &marks, out));
        for (tag, how, value) in &self.rare {
            args.build(|out| {
                out.extend([*tag, *how]);
                out.extend(value);
            });
        }
    }
}

fn rare(target: &Target) -> Vec<Rare> {
    let mut rare = Vec::new();
    if let Some(failure) = &target.failure {
        let failure: &FailedAttempt = failure;
        rare.push((0, b'+', codec::encode(failure)));
        rare.push((tag::LAST_ERROR, b'=', failure.error.as_str().as_bytes().to_vec()));
    }
    if let Some(cold) = &target.cold {
        texts(cold, &mut rare);
        completions(&cold.completion, &mut rare);
        limits(cold, &mut rare);
    }
    rare
}

fn texts(cold: &Cold, rare: &mut Vec<Rare>) {
    if let Some(payload) = &cold.payload {
        rare.push((tag::PAYLOAD, b'=', payload.as_json().as_bytes().to_vec()));
    }
    if let Some(headers) = &cold.headers {
        rare.push((tag::HEADERS, b'=', codec::encode(headers)));
    }
    for (tag, field) in [(tag::CHECKPOINT, &cold.checkpoint), (tag::OUTPUT, &cold.output)] {
        match field {
            Field::Keep => {}
            Field::Set(payload) => rare.push((tag, b'=', payload.as_json().as_bytes().to_vec())),
            Field::Clear => rare.push((tag, b'-', Vec::new())),
        }
    }
    match &cold.last_error {
        Field::Keep => {}
        Field::Set(error) => rare.push((tag::LAST_ERROR, b'=', error.as_str().as_bytes().to_vec())),
        Field::Clear => rare.push((tag::LAST_ERROR, b'-', Vec::new())),
    }
}

fn completions(change: &CompletionChange, rare: &mut Vec<Rare>) {
    match change {
        CompletionChange::Keep => {}
        CompletionChange::Deliver(completion) => {
            rare.push((tag::COMPLETION, b'=', completion.to_stored().into_bytes()));
            rare.push((tag::EARLY, b'-', Vec::new()));
        }
        CompletionChange::DeliverEarly => rare.push((tag::COMPLETION, b'>', Vec::new())),
        CompletionChange::Clear => {
            rare.push((tag::COMPLETION, b'-', Vec::new()));
            rare.push((tag::EARLY, b'-', Vec::new()));
        }
    }
}

/// The count of reruns and the limits of time, which stand in the record.
fn limits(cold: &Cold, rare: &mut Vec<Rare>) {
    let time = |field: &Field<Timestamp>| match field {
        Field::Keep => None,
        Field::Set(time) => Some(opt_time(Some(*time))),
        Field::Clear => Some(opt_time(None)),
    };
    let (give_up, expires) = (time(&cold.give_up_at), time(&cold.expires_at));
    let which =
        u8::from(cold.reruns.is_some()) | u8::from(give_up.is_some()) << 1 | u8::from(expires.is_some()) << 2;
    if which == 0 {
        return;
    }
    let mut value = vec![which];
    value.extend(cold.reruns.unwrap_or(0).to_be_bytes());
    for time in [give_up, expires] {
        value.extend(time.unwrap_or(0).to_be_bytes());
    }
    rare.push((0, b'!', value));
}

/// The answers to edits, in order.
pub(crate) fn applied(answers: Replies<'_>) -> Result<Vec<Applied>> {
    answers.map(one).collect()
}

fn one(answer: Reply<'_>) -> Result<Applied> {
    let address = answer.address();
    if answer.is_int() {
        return match answer.int()? {
            0 => Ok(Applied::DONE),
            2 => Ok(Applied::Repeated),
            3 => Ok(Applied::Stale),
            4 => Ok(Applied::Missing),
            _ => Err(unexpected(address)),
        };
    }
    let mut parts = answer.array()?;
    match parts.part()?.int()? {
        0 => {
            let took = match parts.part()?.int()? {
                0 => Took::Primary,
                1 => Took::Cancelled,
                2 => Took::Completed,
                3 => Took::NoneOpen,
                _ => return Err(unexpected(address)),
            };
            let inserted = inserted(parts.part()?.array()?)?;
            Ok(Applied::Done { inserted, took })
        }
        5 => Ok(Applied::KeyTaken(parts.part()?.task_id()?)),
        _ => Err(unexpected(address)),
    }
}
