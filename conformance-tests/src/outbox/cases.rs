//! The cases that one caller at a time can show.

use futures_util::FutureExt as _;
use retry_core::limits::{MAX_BATCH, MAX_CALL_BYTES, MAX_OUTBOX_BODY_BYTES};
use retry_core::outbox::{NewRow, Room, RowId};
use retry_core::store::{Certainty, Count, StoreErrorKind};
use retry_core::task::ErrorText;
use retry_core::time::Timestamp;

use super::concurrent;
use super::harness::OutboxInstance;
use super::rows::{ALL, aside, commit, commit_rows, id, kind, names, next, numbers, row, sized, waiting};
use super::runner::{Case, Needs};

macro_rules! cases {
    ($($needs:ident: $module:ident::$name:ident $laws:literal,)*) => {
        /// All cases.
        pub const CASES: &[Case] = &[$(Case {
            name: stringify!($name),
            laws: $laws,
            needs: Needs::$needs,
            run: |instance| $module::$name(instance).boxed(),
        },)*];
    };
}

use self as cases;

cases! {
    Table: cases::rows_are_their_transactions "O1",
    Savepoints: cases::a_savepoint_takes_its_rows_along "O1",
    Table: cases::a_refused_write_leaves_the_transaction_usable "O1",
    Table: cases::rows_come_in_the_order_of_writing "O2",
    Overlaps: cases::a_late_commit_is_not_passed_over "O3",
    Overlaps: cases::open_transactions_are_not_waited_for "O3",
    Table: cases::what_was_handed_over_goes "O4",
    Table: cases::a_number_alone_removes_nothing "O4",
    Table: cases::what_was_not_handed_over_stays "O5",
    Table: cases::a_row_set_aside_is_out_of_the_way "O5",
    Table: cases::a_late_set_aside_keeps_nothing_handed_over "O4",
    Table: cases::bytes_and_times_come_back "O6",
    Table: cases::an_answer_has_its_room "O7",
    Table: cases::bounds_are_checked_first "O7",
    Table: cases::what_waits_is_counted "O7",
    Table: concurrent::every_row_is_answered_until_it_goes "O3, O4, O5",
    Table: concurrent::two_readers_lose_nothing "O4, O5",
    Table: concurrent::dropped_calls_leave_nothing_open "O4, O5",
}

async fn rows_are_their_transactions(instance: &dyn OutboxInstance) {
    let table = instance.table();
    let mut tx = instance.begin().await;
    tx.write(vec![row(1), row(2)]).await.unwrap();
    tx.write(Vec::new()).await.unwrap();
    assert_eq!(waiting(&table).await, [0; 0], "O1: nothing is committed");
    tx.commit().await;
    assert_eq!(waiting(&table).await, [1, 2], "O1: both are committed");
    let mut tx = instance.begin().await;
    tx.write(vec![row(3)]).await.unwrap();
    tx.roll_back().await;
    let mut tx = instance.begin().await;
    tx.write(vec![row(4)]).await.unwrap();
    drop(tx);
    commit(instance, [5]).await;
    assert_eq!(waiting(&table).await, [1, 2, 5], "O1: 3 and 4 rolled back");
}

async fn a_savepoint_takes_its_rows_along(instance: &dyn OutboxInstance) {
    let mut tx = instance.begin().await;
    tx.write(vec![row(1)]).await.unwrap();
    tx.savepoint(vec![row(2), row(3)]).await.unwrap();
    tx.write(vec![row(4)]).await.unwrap();
    tx.savepoint(vec![row(5)]).await.unwrap();
    tx.commit().await;
    assert_eq!(
        waiting(&instance.table()).await,
        [1, 4],
        "O1: savepoints rolled back"
    );
}

async fn a_refused_write_leaves_the_transaction_usable(instance: &dyn OutboxInstance) {
    let mut tx = instance.begin().await;
    tx.write(vec![row(1)]).await.unwrap();
    let refused = tx.write(vec![row(2), sized(3, MAX_OUTBOX_BODY_BYTES + 1)]).await;
    assert!(refused.is_err(), "O7: a body is too large");
    tx.write(vec![row(4)]).await.unwrap();
    tx.commit().await;
    let left = waiting(&instance.table()).await;
    assert_eq!(left, [1, 4], "O1: nothing of a refused write is written");
}

async fn rows_come_in_the_order_of_writing(instance: &dyn OutboxInstance) {
    let table = instance.table();
    // Ids and times that say nothing about the order.
    commit(instance, [9, 3, 7]).await;
    let mut tx = instance.begin().await;
    tx.write(vec![row(8), row(1)]).await.unwrap();
    tx.write(vec![row(6)]).await.unwrap();
    tx.commit().await;
    let many: Vec<u64> = (100..1_100).rev().collect();
    commit(instance, many.iter().copied()).await;
    let room = Room { rows: 6, ..ALL };
    let first = next(&table, &[], room).await;
    assert_eq!(numbers(&first), [9, 3, 7, 8, 1, 6], "O2");
    let numbers_only: Vec<i64> = first.iter().map(|row| row.row.seq).collect();
    assert!(
        numbers_only.is_sorted() && numbers_only[0] > 0,
        "O2: {numbers_only:?}"
    );
    let rest = next(&table, &names(&first), ALL).await;
    assert_eq!(numbers(&rest), many, "O2: a thousand rows of one call");
}

async fn a_late_commit_is_not_passed_over(instance: &dyn OutboxInstance) {
    let table = instance.table();
    let mut late = instance.begin().await;
    late.write(vec![row(1)]).await.unwrap();
    commit(instance, [2, 3]).await;
    let first = next(&table, &[], Room { rows: 1, ..ALL }).await;
    assert_eq!(numbers(&first), [2], "O3: 1 is not committed");
    // Its number was given first, and others with higher ones are gone when it can be read.
    let second = next(&table, &names(&first), Room { rows: 1, ..ALL }).await;
    assert_eq!(numbers(&second), [3], "O3");
    late.commit().await;
    assert_eq!(
        waiting(&table).await,
        [1, 3],
        "O3: the row that came late comes first"
    );
    let third = next(&table, &names(&second), ALL).await;
    assert_eq!(numbers(&third), [1], "O3");
}

async fn open_transactions_are_not_waited_for(instance: &dyn OutboxInstance) {
    let table = instance.table();
    commit(instance, [1, 2]).await;
    let mut before = instance.begin().await;
    before.write(vec![row(3)]).await.unwrap();
    commit(instance, [4]).await;
    let mut after = instance.begin().await;
    after.write(vec![row(5)]).await.unwrap();
    let first = next(&table, &[], ALL).await;
    assert_eq!(numbers(&first), [1, 2, 4], "O3");
    // Neither the removal nor setting aside wait for the rows between and behind, and both writers go on.
    let rest = next(&table, &names(&first)[..2], ALL).await;
    assert_eq!(numbers(&rest), [4], "O4");
    table
        .set_aside(rest[0].row, &ErrorText::new("why"))
        .await
        .unwrap();
    before.write(vec![row(6)]).await.unwrap();
    after.write(vec![row(7)]).await.unwrap();
    before.commit().await;
    after.commit().await;
    assert_eq!(waiting(&table).await.len(), 4, "O5");
}

async fn what_was_handed_over_goes(instance: &dyn OutboxInstance) {
    let table = instance.table();
    commit(instance, 1..=5).await;
    let first = next(&table, &[], Room { rows: 2, ..ALL }).await;
    let second = next(&table, &names(&first), Room { rows: 2, ..ALL }).await;
    assert_eq!(
        numbers(&second),
        [3, 4],
        "O4: also the answer to the removal has them no more"
    );
    // The same call again, as after an answer that got lost; and a row that nobody ever saw.
    let again = next(&table, &names(&first), Room { rows: 2, ..ALL }).await;
    assert_eq!(again, second, "O4: a repeated call converges");
    let never = RowId {
        seq: i64::MAX,
        id: id(99),
    };
    let rest = next(&table, &[second[1].row, never, second[0].row], ALL).await;
    assert_eq!(numbers(&rest), [5], "O4");
    assert_eq!(
        waiting(&table).await,
        [5],
        "O4: it is gone for the next caller, too"
    );
    // As many as a call may name.
    commit(instance, 1_001..=2_000).await;
    next(&table, &names(&rest), ALL).await;
    let all = next(&table, &[], ALL).await;
    assert_eq!(all.len(), MAX_BATCH);
    assert!(next(&table, &names(&all), ALL).await.is_empty(), "O4");
}

async fn a_number_alone_removes_nothing(instance: &dyn OutboxInstance) {
    let table = instance.table();
    commit(instance, [1, 2]).await;
    let rows = names(&next(&table, &[], ALL).await);
    // As after a restored backup, which gives the numbers again to other tasks.
    let other = RowId { id: id(7), ..rows[0] };
    let crossed = [
        RowId {
            id: rows[1].id,
            ..rows[0]
        },
        RowId {
            id: rows[0].id,
            ..rows[1]
        },
    ];
    let left = next(&table, &[other, crossed[0], crossed[1]], ALL).await;
    assert_eq!(numbers(&left), [1, 2], "O4: number and id together name a row");
    table.set_aside(other, &ErrorText::new("why")).await.unwrap();
    assert_eq!(waiting(&table).await, [1, 2], "O4: nor are they set aside");
}

async fn what_was_not_handed_over_stays(instance: &dyn OutboxInstance) {
    let table = instance.table();
    commit(instance, 1..=3).await;
    let first = next(&table, &[], ALL).await;
    assert_eq!(next(&table, &[], ALL).await, first, "O5: nothing was handed over");
    // Another handle sees the same.
    assert_eq!(next(&instance.table(), &[], ALL).await, first, "O5");
    let left = next(&table, &[first[1].row], ALL).await;
    assert_eq!(numbers(&left), [1, 3], "O5");
}

async fn a_row_set_aside_is_out_of_the_way(instance: &dyn OutboxInstance) {
    let table = instance.table();
    commit(instance, 1..=4).await;
    let rows = names(&next(&table, &[], ALL).await);
    let reason = ErrorText::new("it holds 'no' \"task\" \\ é🎉");
    for row in [rows[2], rows[0], rows[0]] {
        table.set_aside(row, &reason).await.unwrap();
    }
    assert_eq!(waiting(&table).await, [2, 4], "O5: 1 and 3 were set aside");
    let counted = table.waiting(10).await.unwrap();
    assert_eq!(counted.rows, Count::Exact(2), "O5: they do not count");
    assert_eq!(aside(instance).await, [1, 3], "O5: they are kept");
    let unknown = RowId { seq: 77, id: id(77) };
    table.set_aside(unknown, &reason).await.unwrap();
    let left = next(&table, &rows, ALL).await;
    assert!(left.is_empty(), "O4: {left:?}");
    commit(instance, [5]).await;
    assert_eq!(waiting(&table).await, [5], "O5: the table goes on");
}

/// Calls outlive their callers: a row that was to be set aside may have been handed over since, and is set aside only then.
async fn a_late_set_aside_keeps_nothing_handed_over(instance: &dyn OutboxInstance) {
    let table = instance.table();
    commit(instance, 1..=3).await;
    let rows = names(&next(&table, &[], ALL).await);
    let reason = ErrorText::new("why");
    for row in [rows[0], rows[2]] {
        table.set_aside(row, &reason).await.unwrap();
    }
    let other = RowId { id: id(7), ..rows[2] };
    for _ in 0..2 {
        let left = next(&table, &[rows[0], other], ALL).await;
        assert_eq!(numbers(&left), [2], "O4");
        assert_eq!(
            aside(instance).await,
            [3],
            "O4: what was handed over is set aside no more, and it alone"
        );
    }
    assert!(next(&table, &rows, ALL).await.is_empty(), "O4");
    table.set_aside(rows[1], &reason).await.unwrap();
    assert_eq!(aside(instance).await, [0; 0], "O4: nothing comes back");
}

async fn bytes_and_times_come_back(instance: &dyn OutboxInstance) {
    let bodies: Vec<String> = [
        "",
        " ",
        "{\"v\":1,\"kind\":\"mail\"}\n{}\nnull",
        "trailing blanks  \r\n\t ",
        "é 🎉 \u{1}\u{7f}\u{feff}\u{2028} ñ n\u{303} ß ẞ",
        "'; DROP TABLE x; -- \\ \\' \" ` ? $1 {table} %s :a",
        "\\u0000 \\x00 \\n",
    ]
    .map(str::to_owned)
    .into();
    let largest = "\"\\🎉".repeat(MAX_OUTBOX_BODY_BYTES / 6);
    let times = [0, -1, 1, 1_700_000_000_123, (1 << 53) - 1, 1 - (1 << 53), 7, 8];
    let rows: Vec<NewRow> = bodies
        .into_iter()
        .chain([largest])
        .zip(times)
        .zip(1..)
        .map(|((body, time), n)| NewRow {
            id: id(n | n << 40),
            kind: kind(),
            created_at: Timestamp::from_millis(time),
            body: body.into_bytes(),
        })
        .collect();
    commit_rows(instance, rows.clone()).await;
    let read = next(&instance.table(), &[], ALL).await;
    assert_eq!(read.len(), rows.len());
    for (read, written) in read.iter().zip(&rows) {
        assert_eq!(read.row.id, written.id, "O6");
        assert_eq!(read.created_at, written.created_at, "O6");
        assert!(
            read.body == written.body,
            "O6: a body of {} bytes",
            written.body.len()
        );
    }
}

async fn an_answer_has_its_room(instance: &dyn OutboxInstance) {
    let table = instance.table();
    let sizes = [101, 60, 40, 1, 0, 200];
    let rows = (1..).zip(sizes).map(|(n, bytes)| sized(n, bytes)).collect();
    commit_rows(instance, rows).await;
    let room = |rows, bytes| Room { rows, bytes };
    let all = names(&next(&table, &[], ALL).await);
    for (handed, room, wanted) in [
        (0, room(10, 100), &[1][..]),
        (0, room(10, 0), &[1]),
        (0, room(10, 161), &[1, 2]),
        (1, room(10, 100), &[2, 3]),
        (1, room(10, 99), &[2]),
        (1, room(10, 101), &[2, 3, 4, 5]),
        (1, room(1, 100), &[2]),
        (1, room(2, 1_000), &[2, 3]),
        (4, room(10, 0), &[5]),
        (4, room(10, 199), &[5]),
        (5, room(10, 0), &[6]),
    ] {
        let answer = next(&table, &all[..handed], room).await;
        assert_eq!(numbers(&answer), wanted, "O7: behind {handed} with {room:?}");
    }
}

async fn bounds_are_checked_first(instance: &dyn OutboxInstance) {
    let table = instance.table();
    commit(instance, [1]).await;
    let first = next(&table, &[], ALL).await[0].row;
    let mut tx = instance.begin().await;
    let many: Vec<NewRow> = (0..=1_000).map(row).collect();
    let bytes = MAX_CALL_BYTES / MAX_OUTBOX_BODY_BYTES + 1;
    let large = (0..bytes as u64)
        .map(|n| sized(n, MAX_OUTBOX_BODY_BYTES))
        .collect();
    for refused in [many, large] {
        let error = tx.write(refused).await.expect_err("O7: too many, or too large");
        let what = (error.kind(), error.certainty());
        assert_eq!(
            what,
            (StoreErrorKind::Invalid, Certainty::Rejected),
            "O7: {error}"
        );
    }
    tx.commit().await;
    let too_many = vec![first; MAX_BATCH + 1];
    let rows = |rows| Room { rows, ..ALL };
    for (handed, room) in [
        (&too_many[..], rows(1)),
        (&[first], rows(0)),
        (&[first], rows(MAX_BATCH + 1)),
    ] {
        let error = table.next(handed, room).await.expect_err("O7: out of bounds");
        assert_eq!(error.kind(), StoreErrorKind::Invalid, "O7: {error}");
    }
    assert_eq!(waiting(&table).await, [1], "O7: nothing was written or removed");
    // A whole call's bytes in one write.
    let each = MAX_CALL_BYTES / 5;
    let most = (2..7).map(|n| sized(n, each)).collect();
    commit_rows(instance, most).await;
    assert_eq!(waiting(&table).await.len(), 6, "O7: the bounds themselves pass");
}

async fn what_waits_is_counted(instance: &dyn OutboxInstance) {
    let table = instance.table();
    let empty = table.waiting(10).await.unwrap();
    assert_eq!((empty.rows, empty.oldest), (Count::Exact(0), None), "O7");
    commit(instance, 1..=5).await;
    for (cap, rows) in [
        (10, Count::Exact(5)),
        (5, Count::Exact(5)),
        (4, Count::AtLeast(4)),
        (1, Count::AtLeast(1)),
    ] {
        let counted = table.waiting(cap).await.unwrap();
        assert_eq!(counted.rows, rows, "O7: at most {cap} are counted");
        assert_eq!(counted.oldest, Some(Timestamp::from_millis(1_001)), "O6");
    }
    let first = next(&table, &[], Room { rows: 3, ..ALL }).await;
    next(&table, &names(&first), ALL).await;
    let counted = table.waiting(10).await.unwrap();
    let wanted = (Count::Exact(2), Some(Timestamp::from_millis(1_004)));
    assert_eq!((counted.rows, counted.oldest), wanted, "O4");
}
