-- L6, L8: locks the listed tasks in the order of the list, which is that of their ids, and reads them. Parameter: the ids.
-- JSON_TABLE and STRAIGHT_JOIN: a long IN list is turned into a table and sorted, and the locks lose their order.
-- FORCE INDEX, as wherever rows are found by their ids: of a table that is small, or whose statistics say so, the server would
-- scan and lock all rows, and claims would pass over them.
-- The rule for failed children is read for parents alone.
SELECT {hot}, IF(t.total > 0, t.settings, NULL) AS settings
  FROM {ids_to_lock} STRAIGHT_JOIN retry_task t FORCE INDEX (PRIMARY) ON t.id = UNHEX(e.id) FOR UPDATE
