-- L13: tasks of one of the states that are kept in order, at most ?1 of them. ?2 state.
SELECT queue, count(*) FROM (SELECT queue FROM retry_task INDEXED BY retry_listed
                              WHERE state >= 2 AND state <> 4 AND state = ?2 LIMIT ?1)
 GROUP BY queue;
