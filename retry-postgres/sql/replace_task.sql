-- L2: a pending holder takes over a due time. $1 id, $2 now, $3 the new due time or NULL to keep it, $4 the new size or
-- NULL. No row: it is not pending any more, or let go of its key.
UPDATE {schema}.task
   SET version = version + (version < 9007199254740991)::integer, updated_at = $2::bigint,
       run_at = coalesce($3::bigint, run_at), bytes = coalesce($4::integer, bytes)
 WHERE id = $1::uuid AND state = 0 AND holds_key
RETURNING queue, run_at, version;
