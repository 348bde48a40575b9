//! Where a listing takes its rows from: the narrowest index that gives them newest first.

use retry_core::store::{Page, TaskFilter};
use retry_core::task::State;
use sqlx::mysql::MySqlRow;

use crate::args::Args;
use crate::db::Db;
use crate::error::Outcome;
use crate::queries::{Queries, Sql};
use crate::record::{self, at};

/// Rows read at a time at least and at most: a scan under the budget needs ten of the largest chunks.
const CHUNK: (usize, usize) = (64, 1_000);

/// What selects a part of an index.
enum Part {
    All,
    Id([u8; 16]),
    State(State),
}

/// One index, or one part of it.
struct Source {
    sql: Sql,
    part: Part,
    before: Vec<u8>,
    /// What was read and not yet given, oldest first.
    chunk: Vec<([u8; 16], MySqlRow)>,
    at_end: bool,
}

/// The rows of all sources together, newest first.
pub(crate) struct Candidates {
    sources: Vec<Source>,
    chunk: usize,
}

impl Candidates {
    pub(crate) fn new(q: &Queries, filter: &TaskFilter, page: &Page) -> Self {
        // One byte more than the greatest id.
        let before = page
            .after
            .map_or_else(|| vec![0xff; 17], |after| after.to_bytes().to_vec());
        let source = |(sql, part): (&Sql, Part)| Source {
            sql: sql.clone(),
            part,
            before: before.clone(),
            chunk: Vec::new(),
            at_end: false,
        };
        let chunk = (page.limit + 1).clamp(CHUNK.0, CHUNK.1);
        Self {
            sources: sources(q, filter).into_iter().map(source).collect(),
            chunk,
        }
    }

    /// The next row, newest first, with its id.
    pub(crate) async fn next(&mut self, db: &mut Db<'_>) -> Outcome<Option<([u8; 16], MySqlRow)>> {
        for source in &mut self.sources {
            source.fill(db, self.chunk).await?;
        }
        // A filter that lets few pass looks at many.
        self.chunk = CHUNK.1;
        let newest = self
            .sources
            .iter_mut()
            .max_by_key(|source| source.chunk.last().map(|(id, _)| *id));
        Ok(newest.and_then(|source| source.chunk.pop()))
    }
}

/// The statements to merge and what each selects.
fn sources<'q>(q: &'q Queries, filter: &TaskFilter) -> Vec<(&'q Sql, Part)> {
    if let Some(parent) = filter.parent {
        return vec![(&q.list_parent, Part::Id(parent.to_bytes()))];
    }
    if let Some(session) = filter.session {
        return vec![(&q.list_session, Part::Id(session.to_bytes()))];
    }
    let kept = [State::Waiting, State::Joining, State::Failed, State::Cancelled];
    if !filter.states.is_empty() && filter.states.iter().all(|state| kept.contains(state)) {
        let mut states = filter.states.clone();
        states.sort_unstable();
        states.dedup();
        return states
            .into_iter()
            .map(|state| match state {
                State::Waiting | State::Joining => (&q.list_waiting, Part::State(state)),
                _ => (&q.list_state, Part::State(state)),
            })
            .collect();
    }
    vec![(&q.list_newest, Part::All)]
}

impl Source {
    async fn fill(&mut self, db: &mut Db<'_>, chunk: usize) -> Outcome<()> {
        if self.at_end || !self.chunk.is_empty() {
            return Ok(());
        }
        let args = match &self.part {
            Part::All => Args::new(),
            Part::Id(id) => Args::new().with(id),
            Part::State(state) => Args::new().with(state.code()),
        };
        let args = args.with(self.before.clone()).with(record::length(chunk));
        let rows = db.rows(&self.sql, args).await?;
        self.chunk = rows
            .into_iter()
            .map(|row| (record::id(&row, at::ID).unwrap_or_default(), row))
            .collect();
        match self.chunk.last() {
            Some((last, _)) => self.before = last.to_vec(),
            None => self.at_end = true,
        }
        self.chunk.reverse();
        Ok(())
    }
}
