-- L3, L6, L7: as claim_write, for rows that all get the same values. A list that is joined is written in two passes, the first of
-- which only collects; this takes two thirds of its time. The list stays below the length from which MariaDB makes a table of it.
-- Parameters: attempt, version, alarm, session, now, the version before, then the ids.
UPDATE retry_task t FORCE INDEX (PRIMARY)
   SET t.state = 1, t.attempt = ?, t.version = ?, t.alarm_at = ?, t.session = ?, t.updated_at = ?
 WHERE t.state = 0 AND t.version = ? AND t.id IN ({row ?})
