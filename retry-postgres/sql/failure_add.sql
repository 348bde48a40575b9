-- Failed attempts, each behind the history of its task, of which the last $3 are kept. $1 ids, each once, $2 attempts.
-- Both halves see the history as it was before, where the last number is one less than the new one.
WITH forgotten AS (
  DELETE FROM {schema}.failure f
   WHERE f.id = ANY ($1::uuid[])
     AND f.number + $3::integer <= 1 + (SELECT l.number FROM {schema}.failure l WHERE l.id = f.id
                                         ORDER BY l.number DESC LIMIT 1)
)
INSERT INTO {schema}.failure (id, number, attempt)
SELECT e.id, 1 + coalesce((SELECT l.number FROM {schema}.failure l WHERE l.id = e.id ORDER BY l.number DESC LIMIT 1), 0),
       e.attempt
  FROM unnest($1::uuid[], $2::text[]) AS e (id, attempt);
