-- L8: a parent's counters after all of a call's children, or just before it joins. ?1 id, ?2 open, ?3 failed.
-- The version stays: the parent's own edits remain valid.
UPDATE retry_task SET open = ?2, failed = ?3 WHERE id = ?1;
