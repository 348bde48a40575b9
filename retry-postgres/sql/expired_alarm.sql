-- Due alarms, and whether the task is held by a lost or missing session, as which it was reported. $1 now, $2 $3 the
-- alarm and id before, $4 rows.
SELECT {record}, t.session IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {schema}.session s WHERE s.id = t.session AND NOT s.lost LIMIT 1)
  FROM {from}
 WHERE t.alarm_at <= $1::bigint AND (t.alarm_at, t.id) > ($2::bigint, $3::uuid)
 ORDER BY t.alarm_at, t.id LIMIT $4::bigint;
