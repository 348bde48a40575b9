-- Takes the lock under which a schema is migrated. A lock's name has at most 64 characters; newer versions have no SHA1.
-- Parameters: database, prefix, seconds to wait. 1: taken.
SELECT GET_LOCK(CONCAT('task-retry:', LEFT(SHA2(CONCAT(?, '.', ?), 256), 40)), ?)
