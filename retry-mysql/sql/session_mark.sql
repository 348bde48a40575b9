-- L9: marks sessions lost that this transaction has locked. Parameter: the ids.
UPDATE {ids} STRAIGHT_JOIN retry_session t ON t.id = UNHEX(e.id) SET t.lost = 1
