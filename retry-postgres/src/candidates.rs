//! Where a listing takes its rows from: the narrowest index that gives them newest first.

use retry_core::id::TaskId;
use retry_core::store::TaskFilter;
use retry_core::task::State;
use sqlx::SqlStr;

use crate::error::Outcome;
use crate::insert::altered;
use crate::read::may_pass;
use crate::record;
use crate::tx::Tx;
use crate::types::Id;

/// Rows read at a time: a page rarely needs more, and a scan under the budget needs ten.
const CHUNK: usize = 1_000;

/// A row that the listing looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Candidate {
    pub(crate) id: TaskId,
    /// Whether the rest of the row must be read to tell.
    pub(crate) may_pass: bool,
}

/// What selects a part of an index.
#[derive(Debug, Clone, Copy)]
enum Part {
    All,
    Of(Id),
    State(i16),
}

/// One index, or one part of it.
struct Source {
    statement: SqlStr,
    part: Part,
    before: Option<TaskId>,
    /// What was read and not yet given, oldest first.
    chunk: Vec<Candidate>,
    at_end: bool,
}

/// The rows of all sources together, newest first.
pub(crate) struct Candidates<'f> {
    filter: &'f TaskFilter,
    sources: Vec<Source>,
}

impl<'f> Candidates<'f> {
    pub(crate) fn new(tx: &Tx<'_>, filter: &'f TaskFilter, after: Option<TaskId>) -> Self {
        let source = |(statement, part): (&SqlStr, Part)| Source {
            statement: statement.clone(),
            part,
            before: after,
            chunk: Vec::new(),
            at_end: false,
        };
        let sources = sources(tx, filter).into_iter().map(source).collect();
        Self { filter, sources }
    }

    /// The next row, newest first.
    pub(crate) async fn next(&mut self, tx: &mut Tx<'_>) -> Outcome<Option<Candidate>> {
        for source in &mut self.sources {
            source.fill(tx, self.filter).await?;
        }
        let newest = self
            .sources
            .iter_mut()
            .max_by(|a, b| a.chunk.last().cmp(&b.chunk.last()));
        Ok(newest.and_then(|source| source.chunk.pop()))
    }
}

/// The statements to merge and what each gets as its third parameter.
fn sources<'t>(tx: &'t Tx<'_>, filter: &TaskFilter) -> Vec<(&'t SqlStr, Part)> {
    if let Some(parent) = filter.parent {
        return vec![(&tx.sql.list_parent, Part::Of(parent.into()))];
    }
    if let Some(session) = filter.session {
        return vec![(&tx.sql.list_session, Part::Of(session.into()))];
    }
    let kept = [State::Waiting, State::Joining, State::Failed, State::Cancelled];
    if !filter.states.is_empty() && filter.states.iter().all(|state| kept.contains(state)) {
        let mut states = filter.states.clone();
        states.sort_unstable();
        states.dedup();
        let part = |state: State| (&tx.sql.list_state, Part::State(record::state_code(state)));
        return states.into_iter().map(part).collect();
    }
    vec![(&tx.sql.list_newest, Part::All)]
}

impl Source {
    async fn fill(&mut self, tx: &mut Tx<'_>, filter: &TaskFilter) -> Outcome<()> {
        if self.at_end || !self.chunk.is_empty() {
            return Ok(());
        }
        let statement = tx
            .query(&self.statement)
            .bind(self.before.map(Id::from))
            .bind(record::limit(CHUNK));
        let statement = match self.part {
            Part::All => statement,
            Part::Of(id) => statement.bind(id),
            Part::State(state) => statement.bind(state),
        };
        for row in tx.rows(statement).await? {
            self.chunk.push(Candidate {
                id: record::task_id(&row, 0).map_err(altered)?,
                may_pass: may_pass(&row, filter),
            });
        }
        self.before = self.chunk.last().map(|last| last.id);
        self.at_end = self.chunk.is_empty();
        self.chunk.reverse();
        Ok(())
    }
}
