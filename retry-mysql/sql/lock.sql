-- Takes the lock under which a schema is migrated. Parameters: database, prefix, seconds to wait. 1: taken.
SELECT GET_LOCK(CONCAT('task-retry:', SHA1(CONCAT(?, '.', ?))), ?)
