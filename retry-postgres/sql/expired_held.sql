-- The tasks of one session. $1 session, $2 the id before, $3 rows.
SELECT {record}
  FROM {from}
 WHERE t.session = $1::uuid AND t.id > $2::uuid
 ORDER BY t.id LIMIT $3::bigint;
