-- L6: forgets running tasks that succeeded and are not kept, where nothing else is kept about them and nobody counts them: their
-- guard and their end in one statement, without a lock before it. Answers which. $1 ids, $2 versions, $3 nonces. `IS TRUE`
-- keeps the planner from turning the conditions into joins; they are looked up in hash tables. The array is walked in the
-- order of the index, so in the order in which edit_lock locks.
WITH d AS (
  DELETE FROM {schema}.task t
   WHERE t.id = ANY ($1::uuid[]) AND t.state = 1 AND t.parent IS NULL AND t.total = 0 AND NOT t.holds_key AND NOT t.noted
     AND ((t.id, t.version) IN (SELECT unnest($1::uuid[]), unnest($2::bigint[]))) IS TRUE
     AND ((t.id, t.last_nonce) IN (SELECT unnest($1::uuid[]), unnest($3::bigint[]))) IS NOT TRUE
  RETURNING t.id
), b AS (
  DELETE FROM {schema}.body WHERE id = ANY (ARRAY (SELECT d.id FROM d))
)
SELECT d.id FROM d;
