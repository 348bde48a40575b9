-- The rarely written fields of tasks, one array a column. $1 id, $2 reruns, $3 via_fallback, $4 last_error, $5 checkpoint,
-- $6 output, $7 completion. NULL keeps what is stored; an empty text, which no checkpoint, output or completion is, empties
-- the field. The completion 'early' delivers the one that came early; any change of the completion empties the early one.
-- The first note of a task has no empty text.
INSERT INTO {schema}.note AS n (id, reruns, via_fallback, last_error, checkpoint, output, completion)
SELECT unnest($1::uuid[]), unnest($2::integer[]), unnest($3::boolean[]), unnest($4::text[]), unnest($5::text[]), unnest($6::text[]),
       unnest($7::text[])
ON CONFLICT (id) DO UPDATE
   SET reruns = coalesce(excluded.reruns, n.reruns), via_fallback = coalesce(excluded.via_fallback, n.via_fallback),
       last_error = coalesce(excluded.last_error, n.last_error),
       checkpoint = nullif(coalesce(excluded.checkpoint, n.checkpoint), ''),
       output = nullif(coalesce(excluded.output, n.output), ''),
       completion = CASE excluded.completion WHEN '' THEN NULL WHEN 'early' THEN n.early
                                             ELSE coalesce(excluded.completion, n.completion) END,
       early = CASE WHEN excluded.completion IS NULL THEN n.early END;
