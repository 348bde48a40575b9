//! Where a listing takes its rows from: the narrowest index that gives them newest first.

use retry_core::id::TaskId;
use retry_core::limits::MAX_EXAMINED;
use retry_core::store::TaskFilter;
use retry_core::task::State;
use rusqlite::types::Value;
use rusqlite::{CachedStatement, Connection, params};

use crate::error::Outcome;
use crate::queries;
use crate::read::may_pass;

/// Rows read at a time: a page rarely needs more, and a scan under the budget needs ten.
const CHUNK: usize = 1_000;

/// A row that the listing looks at.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    pub(crate) id: Vec<u8>,
    /// Whether the rest of the row must be read to tell.
    pub(crate) may_pass: bool,
}

/// One index, or one part of it.
struct Source<'c> {
    statement: CachedStatement<'c>,
    /// What selects the part; none for the whole table.
    part: Option<Value>,
    before: Vec<u8>,
    /// What was read and not yet given, oldest first.
    chunk: Vec<Candidate>,
    at_end: bool,
}

/// The rows of all sources together, newest first.
pub(crate) struct Candidates<'c, 'f> {
    filter: &'f TaskFilter,
    sources: Vec<Source<'c>>,
}

impl<'c, 'f> Candidates<'c, 'f> {
    pub(crate) fn new(conn: &'c Connection, filter: &'f TaskFilter, after: Option<TaskId>) -> Outcome<Self> {
        // One byte more than the greatest id.
        let before = after.map_or_else(|| vec![0xff; 17], |after| after.to_bytes().to_vec());
        let sources = sources(filter).into_iter().map(|(statement, part)| {
            Ok(Source {
                statement: conn.prepare_cached(statement)?,
                part,
                before: before.clone(),
                chunk: Vec::new(),
                at_end: false,
            })
        });
        Ok(Self {
            filter,
            sources: sources.collect::<Outcome<_>>()?,
        })
    }

    /// The next row, newest first.
    pub(crate) fn next(&mut self) -> Outcome<Option<Candidate>> {
        for source in &mut self.sources {
            source.fill(self.filter)?;
        }
        let newest = self
            .sources
            .iter_mut()
            .max_by(|a, b| a.chunk.last().cmp(&b.chunk.last()));
        Ok(newest.and_then(|source| source.chunk.pop()))
    }
}

/// The statements to merge and what each gets as its third parameter.
fn sources(filter: &TaskFilter) -> Vec<(&'static str, Option<Value>)> {
    if let Some(parent) = filter.parent {
        return vec![(
            queries::LIST_PARENT,
            Some(Value::Blob(parent.to_bytes().to_vec())),
        )];
    }
    if let Some(session) = filter.session {
        return vec![(
            queries::LIST_SESSION,
            Some(Value::Blob(session.to_bytes().to_vec())),
        )];
    }
    let kept = [State::Waiting, State::Joining, State::Failed, State::Cancelled];
    if !filter.states.is_empty() && filter.states.iter().all(|state| kept.contains(state)) {
        let mut states = filter.states.clone();
        states.sort_unstable();
        states.dedup();
        let source = |state: State| (queries::LIST_STATE, Some(Value::Integer(i64::from(state.code()))));
        return states.into_iter().map(source).collect();
    }
    vec![(queries::LIST_NEWEST, None)]
}

impl Source<'_> {
    fn fill(&mut self, filter: &TaskFilter) -> Outcome<()> {
        if self.at_end || !self.chunk.is_empty() {
            return Ok(());
        }
        let limit = i64::try_from(CHUNK.min(MAX_EXAMINED)).unwrap_or(i64::MAX);
        let mut rows = match &self.part {
            Some(part) => self.statement.query(params![self.before, limit, part])?,
            None => self.statement.query(params![self.before, limit])?,
        };
        while let Some(row) = rows.next()? {
            self.chunk.push(Candidate {
                id: row.get(0)?,
                may_pass: may_pass(row, filter),
            });
        }
        drop(rows);
        match self.chunk.last() {
            Some(last) => self.before.clone_from(&last.id),
            None => self.at_end = true,
        }
        self.chunk.reverse();
        Ok(())
    }
}
