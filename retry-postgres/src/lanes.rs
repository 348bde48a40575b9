//! The lanes of a claim: which of the asked ones hold tasks, and where their heads are.

use std::collections::HashMap;

use retry_core::id::TaskId;
use retry_core::priority::Priority;
use retry_core::store::ClaimRequest;
use retry_core::time::Timestamp;

use crate::error::Outcome;
use crate::insert::altered;
use crate::record;
use crate::tx::Tx;
use crate::types::Id;

/// Levels of a kind: four priorities, each with and without suspects.
const LEVELS: i16 = 8;

/// A place in a lane: due time and id, in the order of the index.
pub(crate) type Position = (i64, TaskId);

/// A lane that holds tasks in the request's window.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    /// The kind's place in the request.
    pub(crate) kind: usize,
    pub(crate) level: i16,
    pub(crate) position: Position,
}

/// What a look at the lanes says.
#[derive(Debug)]
pub(crate) struct Look {
    /// The session may claim.
    pub(crate) live: bool,
    pub(crate) paused: bool,
    pub(crate) heads: Vec<Head>,
}

impl Head {
    pub(crate) fn priority(&self) -> Option<Priority> {
        record::lane_of(self.level).map(|(priority, _)| priority)
    }

    pub(crate) const fn is_suspect(&self) -> bool {
        self.level % 2 == 1
    }
}

/// Looks at the lanes of a request, and locks its session against being marked. A claim that looks `again` found its queue
/// not paused: a pause that came meanwhile comes after it.
pub(crate) async fn look(tx: &mut Tx<'_>, request: &ClaimRequest, again: bool) -> Outcome<Look> {
    let session = Id::from(request.session);
    let queue = request.queue.as_str().to_owned();
    let asked = || {
        request
            .kinds
            .iter()
            .enumerate()
            .filter(|(_, (_, limit))| *limit > 0)
    };
    let is_bounded = request.not_before.is_some() || !request.after.is_empty();
    let statement = if is_bounded {
        let mut lanes = Bounds::default();
        for (place, (kind, _)) in asked() {
            for level in 0..LEVELS {
                lanes.push(place, kind.as_str(), level, bound(request, place, level));
            }
        }
        tx.query(&tx.sql.claim_heads_after)
            .bind(session)
            .bind(queue)
            .bind(lanes.place)
            .bind(lanes.kind)
            .bind(lanes.level)
            .bind(lanes.run_at)
            .bind(lanes.id)
            .bind(again)
    } else {
        let kinds: Vec<&str> = asked().map(|(_, (kind, _))| kind.as_str()).collect();
        tx.query(&tx.sql.claim_heads)
            .bind(session)
            .bind(queue)
            .bind(kinds)
            .bind(again)
    };
    // The statement without bounds counts the asked kinds from one.
    let places: HashMap<i64, usize> = if is_bounded {
        asked().map(|(place, _)| (record::limit(place), place)).collect()
    } else {
        (1..).zip(asked().map(|(place, _)| place)).collect()
    };
    let mut answer = Look {
        live: false,
        paused: false,
        heads: Vec::new(),
    };
    for row in tx.rows(statement).await? {
        answer.live = record::value(&row, 0).map_err(altered)?;
        answer.paused = record::value(&row, 1).map_err(altered)?;
        let Some(place) = record::value::<Option<i64>>(&row, 2).map_err(altered)? else {
            continue;
        };
        let Some(kind) = places.get(&place) else { continue };
        let run_at = record::value(&row, 4).map_err(altered)?;
        answer.heads.push(Head {
            kind: *kind,
            level: record::value(&row, 3).map_err(altered)?,
            position: (run_at, record::task_id(&row, 5).map_err(altered)?),
        });
    }
    Ok(answer)
}

/// The position behind which a lane's head is looked for.
fn bound(request: &ClaimRequest, place: usize, level: i16) -> Position {
    let not_before = request.not_before.unwrap_or(Timestamp::MIN);
    // The last position before that time.
    let early = (not_before.as_millis() - 1, TaskId::MAX);
    let mark = request.after.iter().find(|mark| {
        mark.lane.kind == request.kinds[place].0
            && record::level(mark.lane.priority, u32::from(mark.lane.suspect)) == level
    });
    mark.map_or(early, |mark| early.max((mark.run_at.as_millis(), mark.id)))
}

/// Lanes with bounds as the arrays of the statement.
#[derive(Default)]
struct Bounds<'a> {
    place: Vec<i64>,
    kind: Vec<&'a str>,
    level: Vec<i16>,
    run_at: Vec<i64>,
    id: Vec<Id>,
}

impl<'a> Bounds<'a> {
    fn push(&mut self, place: usize, kind: &'a str, level: i16, (run_at, id): Position) {
        self.place.push(record::limit(place));
        self.kind.push(kind);
        self.level.push(level);
        self.run_at.push(run_at);
        self.id.push(id.into());
    }
}
