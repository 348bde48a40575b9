-- L8: a key that an edit frees is free for its own inserts. ?1 number.
UPDATE retry_task SET holds_key = 0 WHERE number = ?1;
