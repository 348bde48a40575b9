-- The limits as reruns moved them. $1 ids, $2 settings. An upsert for the reason of edit_write: the rows were just read, so
-- the insert never inserts.
INSERT INTO {schema}.body (id, settings, wait_secret, payload)
SELECT e.*, 0, '' FROM unnest($1::uuid[], $2::text[]) AS e
ON CONFLICT (id) DO UPDATE SET settings = excluded.settings;
