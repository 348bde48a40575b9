//! Writing what a call changed in memory: what frees keys first, then what takes them, so that no moment has two holders.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use retry_core::id::{SessionId, TaskId};
use retry_core::name::UniqueKey;
use retry_core::task::{Settings, State};
use retry_core::time::Timestamp;

use crate::args::{Args, hex, ids, millis};
use crate::body::{self, Body};
use crate::db::Db;
use crate::error::{Fault, Outcome};
use crate::hot::Hot;
use crate::record;
use crate::rows::{NewBody, Rows, Slot, Was};

/// Writes all changed rows.
pub(crate) async fn write(db: &mut Db<'_>, rows: &Rows) -> Outcome<()> {
    if rows.is_unsure {
        return Err(Fault::Collision);
    }
    let changed: Vec<(&TaskId, &Slot)> = rows.slots.iter().filter(|(_, slot)| slot.dirty).collect();
    delete(db, &changed).await?;
    let mut born: Vec<(&Slot, &Hot)> = Vec::new();
    let (mut taking, mut ended, mut others): (Vec<&Hot>, Vec<&Hot>, Vec<&Hot>) = Default::default();
    for (_, slot) in &changed {
        match (&slot.hot, &slot.was) {
            (Some(hot), _) if slot.born => born.push((slot, hot)),
            (Some(hot), Some(was)) if hot.holds_key && !was.holds_key => taking.push(hot),
            (Some(hot), Some(was)) if was.hot.as_ref().is_some_and(|before| hot.is_plain_end_of(before)) => {
                ended.push(hot);
            }
            (Some(hot), _) => others.push(hot),
            (None, _) => {}
        }
    }
    settle(db, rows.now, &ended).await?;
    update(db, &others).await?;
    insert(db, born).await?;
    update(db, &taking).await?;
    write_notes(db, &changed).await?;
    write_bodies(db, &changed).await
}

async fn delete(db: &mut Db<'_>, changed: &[(&TaskId, &Slot)]) -> Outcome<()> {
    let removed: Vec<_> = changed
        .iter()
        .filter(|(_, slot)| slot.hot.is_none() || slot.born)
        .filter_map(|(id, slot)| Some((id.to_bytes(), slot.was.as_ref()?)))
        .collect();
    let ids_of = |chosen: fn(&Was) -> bool| -> Vec<[u8; 16]> {
        let chosen = removed.iter().filter(|(_, was)| chosen(was));
        chosen.map(|(id, _)| *id).collect()
    };
    let rest = Rest {
        bodies: ids_of(|was| was.apart),
        notes: ids_of(|was| was.noted),
        failures: ids_of(|was| was.failures > 0),
    };
    let all = ids_of(|_| true);
    if !all.is_empty() {
        db.run(&db.q.delete_tasks, Args::new().with(ids(&all))).await?;
    }
    forget_rest(db, &rest).await
}

/// The tasks of which something is kept beside their rows.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    pub(crate) bodies: Vec<[u8; 16]>,
    pub(crate) notes: Vec<[u8; 16]>,
    pub(crate) failures: Vec<[u8; 16]>,
}

/// Forgets all that is kept beside the rows of tasks that are forgotten.
pub(crate) async fn forget_rest(db: &mut Db<'_>, rest: &Rest) -> Outcome<()> {
    let q = db.q;
    let parts = [
        (&q.delete_bodies, &rest.bodies),
        (&q.delete_notes, &rest.notes),
        (&q.delete_failures, &rest.failures),
    ];
    for (sql, list) in parts {
        if !list.is_empty() {
            db.run(sql, Args::new().with(ids(list))).await?;
        }
    }
    Ok(())
}

async fn insert(db: &mut Db<'_>, mut born: Vec<(&Slot, &Hot)>) -> Outcome<()> {
    born.sort_by(|(_, a), (_, b)| (&a.kind, &a.key, a.id).cmp(&(&b.kind, &b.key, b.id)));
    let q = db.q;
    if born.iter().all(|(_, hot)| hot.is_as_born()) {
        db.insert(&q.insert_new, &born, |args, (slot, hot)| {
            bind_body(bind_new(args, hot), slot)
        })
        .await?;
    } else {
        db.insert(&q.insert_task, &born, |args, (slot, hot)| {
            bind_body(bind_task(args, hot), slot)
        })
        .await?;
    }
    let bodies = born
        .iter()
        .filter_map(|(slot, hot)| Some((hot.id, of_new(slot.body.as_ref()?))));
    let apart: Vec<_> = bodies.filter(|(_, body)| body.is_apart()).collect();
    db.insert(&q.insert_body, &apart, |args, (id, body)| {
        body.bind_apart(args, *id)
    })
    .await
}

fn bind_task(args: Args, hot: &Hot) -> Args {
    let millis = |time: Option<Timestamp>| time.map(Timestamp::as_millis);
    args.with(hot.id.to_bytes())
        .with(hot.queue.as_str().as_bytes())
        .with(hot.kind.as_str().as_bytes())
        .with(record::level(hot.priority, hot.crashes))
        .with(hot.state.code())
        .with(hot.run_at.as_millis())
        .with(hot.attempt)
        .with(hot.crashes)
        .with(hot.step)
        .with(record::stored(hot.version))
        .with(hot.last_nonce)
        .with(session(hot))
        .with(hot.cancel_requested)
        .with(millis(hot.alarm_at))
        .with(millis(hot.purge_at))
        .with(hot.created_at.as_millis())
        .with(hot.updated_at.as_millis())
        .with(hot.key.as_ref().map(UniqueKey::as_str))
        .with(hot.holds_key)
        .with(hot.parent.map(TaskId::to_bytes))
        .with(hot.children.total)
        .with(hot.children.open)
        .with(hot.children.failed)
        .with(hot.failures)
        .with(hot.noted)
        .with(hot.early)
}

fn session(hot: &Hot) -> [u8; 16] {
    hot.session.map_or(record::NO_SESSION, SessionId::to_bytes)
}

fn bind_new(args: Args, hot: &Hot) -> Args {
    args.with(hot.id.to_bytes())
        .with(hot.queue.as_str().as_bytes())
        .with(hot.kind.as_str().as_bytes())
        .with(record::level(hot.priority, hot.crashes))
        .with(hot.state.code())
        .with(hot.run_at.as_millis())
        .with(hot.attempt)
        .with(record::stored(hot.version))
        .with(session(hot))
        .with(hot.alarm_at.map(Timestamp::as_millis))
        .with(hot.created_at.as_millis())
        .with(hot.updated_at.as_millis())
        .with(hot.key.as_ref().map(UniqueKey::as_str))
        .with(hot.holds_key)
        .with(hot.parent.map(TaskId::to_bytes))
}

/// The rest of a new task's row.
fn bind_body(args: Args, slot: &Slot) -> Args {
    let Some(body) = &slot.body else { return args };
    let settings = slot
        .settings
        .as_ref()
        .map(Settings::to_stored)
        .filter(|text| text != Settings::USUAL_STORED);
    let args = args
        .with(settings)
        .with(body.scope.map(record::scope_code))
        .with(body.wait_secret.cast_signed());
    of_new(body).bind_in_row(args)
}

fn of_new(body: &NewBody) -> Body<'_> {
    Body::of(&body.headers, &body.payload)
}

/// Writes plain ends, those of one state together.
async fn settle(db: &mut Db<'_>, now: Timestamp, rows: &[&Hot]) -> Outcome<()> {
    let mut groups: BTreeMap<(State, Option<Timestamp>), String> = BTreeMap::new();
    for hot in rows {
        let list = groups.entry((hot.state, hot.alarm_at)).or_default();
        list.push(if list.is_empty() { '[' } else { ',' });
        let (id, nonce, purge) = (hex(&hot.id.to_bytes()), hot.last_nonce, millis(hot.purge_at));
        // Writing to a string cannot fail.
        let _ = write!(list, "[\"{id}\",{nonce},{purge}]");
    }
    for ((state, alarm), mut list) in groups {
        list.push(']');
        let args = Args::new()
            .with(list)
            .with(state.code())
            .with(alarm.map(Timestamp::as_millis))
            .with(now.as_millis());
        db.run(&db.q.settle_tasks, args).await?;
    }
    Ok(())
}

async fn update(db: &mut Db<'_>, rows: &[&Hot]) -> Outcome<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut list = String::with_capacity(rows.len() * 192);
    for hot in rows {
        list.push(if list.is_empty() { '[' } else { ',' });
        push_row(&mut list, hot);
    }
    list.push(']');
    db.run(&db.q.update_tasks, Args::new().with(list)).await?;
    Ok(())
}

/// One row of the list that `update_tasks` takes.
fn push_row(list: &mut String, hot: &Hot) {
    // Writing to a string cannot fail.
    let _ = write!(
        list,
        "[\"{}\",{},{},{},{},{},{},{},{},\"{}\",{},{},{},{},{},{},{},{},{},{},{}]",
        hex(&hot.id.to_bytes()),
        record::level(hot.priority, hot.crashes),
        hot.state.code(),
        hot.run_at.as_millis(),
        hot.attempt,
        hot.crashes,
        hot.step,
        hot.version,
        hot.last_nonce,
        hex(&session(hot)),
        u8::from(hot.cancel_requested),
        millis(hot.alarm_at),
        millis(hot.purge_at),
        hot.updated_at.as_millis(),
        u8::from(hot.holds_key),
        hot.children.total,
        hot.children.open,
        hot.children.failed,
        hot.failures,
        u8::from(hot.noted),
        u8::from(hot.early),
    );
}

async fn write_notes(db: &mut Db<'_>, changed: &[(&TaskId, &Slot)]) -> Outcome<()> {
    let kept = || changed.iter().filter(|(_, slot)| slot.hot.is_some());
    let is_noted = |slot: &Slot| !slot.born && slot.was.as_ref().is_some_and(|was| was.noted);
    let notes: Vec<_> = kept()
        .filter(|(_, slot)| slot.note.is_needed(is_noted(slot)))
        .collect();
    let q = db.q;
    db.insert(&q.write_note, &notes, |args, (id, slot)| {
        slot.note.bind(args, id.to_bytes())
    })
    .await?;
    let failures: Vec<([u8; 16], u32, &str)> = kept()
        .flat_map(|(id, slot)| {
            slot.failures
                .iter()
                .map(|(number, text)| (id.to_bytes(), *number, text.as_str()))
        })
        .collect();
    db.insert(&q.insert_failure, &failures, |args, (id, number, text)| {
        args.with(id).with(*number).with(text.as_bytes())
    })
    .await?;
    let most = u32::try_from(retry_core::limits::MAX_FAILURES_KEPT).unwrap_or(u32::MAX);
    let trimmed: Vec<String> = failures
        .iter()
        .filter(|(_, number, _)| *number > most)
        .map(|(id, number, _)| format!("[\"{}\",{}]", hex(id), number - most))
        .collect();
    if !trimmed.is_empty() {
        let list = format!("[{}]", trimmed.join(","));
        db.run(&q.trim_failures, Args::new().with(list)).await?;
    }
    Ok(())
}

/// New payloads, headers and settings of stored tasks: rare, so one at a time.
async fn write_bodies(db: &mut Db<'_>, changed: &[(&TaskId, &Slot)]) -> Outcome<()> {
    let q = db.q;
    for (task, slot) in changed
        .iter()
        .filter(|(_, slot)| slot.hot.is_some() && !slot.born)
    {
        let id = task.to_bytes();
        if slot.payload.is_some() || slot.headers.is_some() {
            body::rewrite(db, **task, slot).await?;
        }
        if let (true, Some(settings)) = (slot.resettled, &slot.settings) {
            let text = Some(settings.to_stored()).filter(|text| text != Settings::USUAL_STORED);
            db.run(&q.write_settings, Args::new().with(text).with(id)).await?;
        }
    }
    Ok(())
}
