-- Due alarms, by time and id. Parameters: now, time, time, id, limit.
SELECT {hot}, {cold}
  FROM (SELECT a.id, a.alarm_at FROM retry_task a FORCE INDEX (task_alarm)
         WHERE a.alarm_at <= ? AND (a.alarm_at > ? OR (a.alarm_at = ? AND a.id > ?)) ORDER BY a.alarm_at, a.id LIMIT ?) p
  STRAIGHT_JOIN retry_task t FORCE INDEX (PRIMARY) ON t.id = p.id
  LEFT JOIN retry_note n FORCE INDEX (PRIMARY) ON n.id = t.id
