-- StoreCompletion, of tasks without an early one. $1 ids, $2 completions.
INSERT INTO {schema}.note AS n (id, early) SELECT e.* FROM unnest($1::uuid[], $2::text[]) AS e
ON CONFLICT (id) DO UPDATE SET early = excluded.early;
