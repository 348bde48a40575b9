//! The lanes of a claim: which of the asked ones hold tasks, and where their heads are.

use retry_core::id::TaskId;
use retry_core::priority::Priority;
use retry_core::store::ClaimRequest;
use retry_core::time::Timestamp;

use crate::args::{Args, hex};
use crate::claim::Left;
use crate::db::Db;
use crate::error::Outcome;
use crate::record;

/// A place in a lane: due time and id, in the order of the index.
pub(crate) type Position = (i64, [u8; 16]);

/// By how much `claim_heads` shifts times, so that their digits sort as they do.
const SHIFT: i64 = 1 << 53;

/// A lane that holds tasks, or did before it was drained.
#[derive(Debug)]
pub(crate) struct Seen {
    /// The kind's place in the request.
    pub(crate) kind: usize,
    pub(crate) level: i64,
    /// Its first task in the request's window when it was looked at.
    pub(crate) head: Option<Position>,
    rest: Rest,
}

/// What is known of a lane besides its head.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// Nothing was taken from it.
    Whole,
    /// As much was taken as was asked for.
    Cut,
    /// Less was taken: the rest is not due, or locked by others.
    Dry,
}

/// The asked lanes that hold tasks.
pub(crate) struct Lanes<'r> {
    request: &'r ClaimRequest,
    pub(crate) seen: Vec<Seen>,
}

/// The place just before another: a search behind it finds that other one.
pub(crate) fn before((at, id): Position) -> (i64, Vec<u8>) {
    let id = u128::from_be_bytes(id);
    (
        at,
        id.checked_sub(1)
            .map_or_else(Vec::new, |id| id.to_be_bytes().to_vec()),
    )
}

impl Seen {
    /// Something was taken from the lane; `dry`: less than was asked for.
    pub(crate) fn drained(&mut self, dry: bool) {
        self.rest = if dry { Rest::Dry } else { Rest::Cut };
    }
}

impl<'r> Lanes<'r> {
    /// Finds the heads of all lanes from which the claim may take.
    pub(crate) async fn peek(db: &mut Db<'_>, request: &'r ClaimRequest, left: &Left) -> Outcome<Self> {
        let asked = (0..request.kinds.len()).flat_map(|kind| (0..8).map(move |level| (kind, level)));
        let asked: Vec<_> = asked
            .filter(|(kind, level)| left.of(*kind, level % 2 == 1) > 0)
            .collect();
        let mut lanes = Self {
            request,
            seen: Vec::new(),
        };
        for (asked, head) in lanes.heads(db, &asked).await? {
            lanes.seen.push(Seen {
                kind: asked.0,
                level: asked.1,
                head: Some(head),
                rest: Rest::Whole,
            });
        }
        Ok(lanes)
    }

    /// The first tasks of the given lanes in the request's window.
    async fn heads(&self, db: &mut Db<'_>, asked: &[(usize, i64)]) -> Outcome<Vec<((usize, i64), Position)>> {
        let (windowed, plain): (Vec<_>, Vec<_>) = asked
            .iter()
            .copied()
            .map(|lane| (lane, self.window(lane)))
            .partition(|(_, from)| from.is_some());
        let mut heads = self
            .plain_heads(db, plain.into_iter().map(|(lane, _)| lane).collect())
            .await?;
        for (lane, from) in windowed {
            let Some((at, behind)) = from else { continue };
            let args = self.lane_args(lane).with(at).with(at).with(behind);
            if let Some(row) = db.row(&db.q.claim_head_after, args).await? {
                let run_at = record::int(&row, 0).unwrap_or(i64::MIN);
                heads.push((lane, (run_at, record::id(&row, 1).unwrap_or_default())));
            }
        }
        Ok(heads)
    }

    async fn plain_heads(
        &self,
        db: &mut Db<'_>,
        lanes: Vec<(usize, i64)>,
    ) -> Outcome<Vec<((usize, i64), Position)>> {
        if lanes.is_empty() {
            return Ok(Vec::new());
        }
        let kind = |kind: usize| hex(self.request.kinds[kind].0.as_str().as_bytes());
        let list: Vec<String> = lanes
            .iter()
            .map(|(of, level)| format!("[\"{}\",{level}]", kind(*of)))
            .collect();
        let args = Args::new()
            .with(self.request.queue.as_str().as_bytes())
            .with(format!("[{}]", list.join(",")));
        let rows = db.rows(&db.q.claim_heads, args).await?;
        let found = rows.iter().filter_map(|row| {
            let number = usize::try_from(record::int(row, 0).ok()? - 1).ok()?;
            Some((*lanes.get(number)?, parse(record::text(row, 1).ok()?)?))
        });
        Ok(found.collect())
    }

    fn lane_args(&self, (kind, level): (usize, i64)) -> Args {
        Args::new()
            .with(self.request.queue.as_str().as_bytes())
            .with(self.request.kinds[kind].0.as_str().as_bytes())
            .with(level)
    }

    /// Behind which place a lane begins for this request; none: at its first task.
    fn window(&self, (kind, level): (usize, i64)) -> Option<(i64, Vec<u8>)> {
        // Nothing is before the empty id of a millisecond.
        let not_before = self.request.not_before.map(|from| (from.as_millis(), Vec::new()));
        let mark = self.request.after.iter().find(|mark| {
            mark.lane.kind == self.request.kinds[kind].0
                && record::level(mark.lane.priority, u32::from(mark.lane.suspect)) == level
        });
        not_before.max(mark.map(|mark| (mark.run_at.as_millis(), mark.id.to_bytes().to_vec())))
    }

    /// The lanes of a priority, in the order of their heads.
    pub(crate) fn of_level(&self, priority: Priority) -> Vec<usize> {
        let of_level = |seen: &Seen| record::lane_of(seen.level).is_some_and(|(of, _)| of == priority);
        let mut lanes: Vec<usize> = (0..self.seen.len())
            .filter(|lane| of_level(&self.seen[*lane]))
            .collect();
        lanes.sort_by_key(|lane| self.seen[*lane].head);
        lanes
    }

    /// The first due time that is left in the asked lanes, after what was taken has been written.
    pub(crate) async fn first_due(&self, db: &mut Db<'_>, now: Timestamp) -> Outcome<Option<Timestamp>> {
        let dry: Vec<_> = self.seen.iter().filter(|lane| lane.rest == Rest::Dry).collect();
        let dry: Vec<_> = dry.into_iter().map(|lane| (lane.kind, lane.level)).collect();
        let again = self.heads(db, &dry).await?.into_iter().map(|(_, head)| head.0);
        let whole = self
            .seen
            .iter()
            .filter(|lane| lane.rest == Rest::Whole)
            .filter_map(|lane| Some(lane.head?.0));
        let cut = self
            .seen
            .iter()
            .filter(|lane| lane.rest == Rest::Cut)
            .map(|_| now.as_millis());
        let until = self.request.not_after.map_or(i64::MAX, Timestamp::as_millis);
        let first = again
            .chain(whole)
            .chain(cut)
            .filter(|run_at| *run_at <= until)
            .min();
        Ok(first.map(Timestamp::from_millis))
    }
}

/// Reads a place as `claim_heads` gives it: 17 digits, then the id.
fn parse(text: &str) -> Option<Position> {
    let (at, id) = text.split_at_checked(17)?;
    let id = u128::from_str_radix(id, 16).ok()?;
    Some((
        at.parse::<i64>().ok()?.checked_sub(SHIFT)?,
        TaskId::from_bytes(id.to_be_bytes()).to_bytes(),
    ))
}
