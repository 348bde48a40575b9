-- RequestCancel: a flag, no version, no nonce. ?1 id.
UPDATE retry_task SET cancel_requested = 1 WHERE id = ?1 AND state = 1;
