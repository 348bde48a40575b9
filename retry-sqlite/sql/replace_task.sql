-- L2: a pending holder takes over a due time. ?1 number, ?2 now, ?3 the new due time or NULL to keep it.
UPDATE retry_task SET version = version + 1, updated_at = ?2, run_at = coalesce(?3, run_at) WHERE number = ?1;
