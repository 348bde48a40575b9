-- Gives the migration lock back. Parameters: database, prefix.
SELECT RELEASE_LOCK(CONCAT('task-retry:', LEFT(SHA2(CONCAT(?, '.', ?), 256), 40)))
