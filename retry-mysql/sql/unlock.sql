-- Gives the migration lock back. Parameters: database, prefix.
SELECT RELEASE_LOCK(CONCAT('task-retry:', SHA1(CONCAT(?, '.', ?))))
