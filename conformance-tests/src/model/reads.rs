//! Resolves reads.

use retry_core::id::TaskId;
use retry_core::store::{CountScope, TaskFilter};
use retry_core::task::State;

use super::call::Call;
use super::op::ReadSpec;
use super::spec;
use super::world::{World, pick_of};
use crate::fixture::{kind, queue};

impl World {
    pub(super) fn read(&self, read: &ReadSpec) -> Call {
        let only = |name: &Option<u8>| name.map(spec::queue);
        match read {
            ReadSpec::Get(pick) => {
                let ids: Vec<TaskId> = self.model.rows.keys().copied().collect();
                Call::Get(pick_of(&ids, *pick).copied().unwrap_or(TaskId::MIN))
            }
            ReadSpec::List(filter, page) => {
                Call::List(Box::new(self.filter(*filter)), 1 + usize::from(*page) % 5)
            }
            ReadSpec::Count(name, exact) => Call::Count(CountScope {
                queue: only(name),
                exact: *exact,
            }),
            ReadSpec::Queues => Call::Queues,
            ReadSpec::Sessions => Call::Sessions,
        }
    }

    fn filter(&self, pick: u8) -> TaskFilter {
        let any = TaskFilter {
            with_output: pick.is_multiple_of(2),
            ..TaskFilter::default()
        };
        let ids: Vec<TaskId> = self.model.rows.keys().copied().collect();
        match pick % 9 {
            0 => any,
            1 => TaskFilter {
                states: vec![State::ALL[usize::from(pick) % 7]],
                ..any
            },
            2 => TaskFilter {
                queues: vec![queue("q0")],
                ..any
            },
            3 => TaskFilter {
                kinds: vec![kind(spec::KINDS[0]), kind(spec::KINDS[2])],
                ..any
            },
            4 => TaskFilter {
                key: Some(spec::key_text(pick)),
                ..any
            },
            5 => TaskFilter {
                parent: pick_of(&ids, pick).copied(),
                ..any
            },
            6 => TaskFilter {
                session: self.session(pick),
                ..any
            },
            7 => TaskFilter {
                due_before: Some(self.now()),
                ..any
            },
            _ => TaskFilter {
                payload_contains: Some("7".to_owned()),
                ..any
            },
        }
    }
}
