-- A closed session whose tasks are still to be settled. Parameter: the id.
UPDATE retry_session SET lost = 1, dead = 1 WHERE id = ?
