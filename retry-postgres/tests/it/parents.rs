//! What the ends of children cost their parent.

use std::sync::Arc;

use retry_core::id::{Nonce, TaskId};
use retry_core::machine::{Event, transition};
use retry_core::store::{TaskStore as _, TaskStoreExt as _};
use retry_core::task::{Children, Edit, NewTask};

use crate::Test;
use crate::support::{Env, FAR, NOW, block_on, claimed, execute, number, request, session, success, task};

pub(crate) const TESTS: &[(&str, Test)] = &[(
    "parents::a_parent_is_written_once_for_all_ends_of_a_call",
    a_parent_is_written_once_for_all_ends_of_a_call,
)];

fn a_parent_is_written_once_for_all_ends_of_a_call(env: Arc<Env>) {
    block_on(async move {
        let (store, schema) = env.fresh().await;
        let mut conn = env.beside().await;
        let parent = claimed(&store, 1..2).await;
        let parent = &parent[0].task;
        let child = |n| NewTask {
            id: TaskId::child(parent.id, 0, 0, n),
            parent: Some(parent.id),
            ..task(0)
        };
        let split = Edit {
            id: parent.id,
            version: parent.version,
            nonce: Nonce::from_random(7),
            action: transition(parent, Event::Split { checkpoint: None }, NOW, 0).unwrap(),
            insert: (0..1_000).map(child).collect(),
        };
        store.apply(split, NOW).await.unwrap();
        let info = session(2);
        store.open_session(&info, FAR, NOW).await.unwrap();
        let children = store.claim(request(&info, 1_000), NOW).await.unwrap().tasks;
        assert_eq!(children.len(), 1_000);
        let trigger = format!(
            "CREATE TABLE {schema}.written (n integer);
             CREATE FUNCTION {schema}.note() RETURNS trigger LANGUAGE plpgsql AS
                 $$BEGIN INSERT INTO {schema}.written VALUES (1); RETURN NULL; END$$;
             CREATE TRIGGER written AFTER UPDATE ON {schema}.task FOR EACH ROW WHEN (new.parent IS NULL)
                 EXECUTE FUNCTION {schema}.note()"
        );
        execute(&mut conn, trigger).await;
        let edits: Vec<Edit> = children.iter().map(success).collect();
        let written = format!("SELECT count(*) FROM {schema}.written");
        store.exchange(&edits[1..], &[], NOW).await.unwrap();
        assert_eq!(number(&mut conn, &written).await, 1, "for 999 ends");
        store.exchange(&edits[..1], &[], NOW).await.unwrap();
        assert_eq!(number(&mut conn, &written).await, 2, "with the join");
        let stored = store.get(parent.id).await.unwrap().unwrap().task;
        let (total, open, failed) = (1_000, 0, 0);
        assert_eq!(stored.children, Children { total, open, failed });
    });
}
