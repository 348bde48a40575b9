-- A child that its parent still needs. ?1 number, ?2 the new purge_at.
UPDATE retry_task SET purge_at = ?2 WHERE number = ?1;
