-- The limits as a rerun moved them. ?1 number, ?2 settings.
UPDATE retry_body SET settings = ?2 WHERE number = ?1;
