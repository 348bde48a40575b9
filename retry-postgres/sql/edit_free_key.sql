-- L8: a key that an edit frees is free for its own inserts. $1 ids.
UPDATE {schema}.task SET holds_key = false WHERE id = ANY ($1::uuid[]);
