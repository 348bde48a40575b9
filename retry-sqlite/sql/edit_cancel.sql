-- RequestCancel: a flag, no version, no nonce. ?1 number.
UPDATE retry_task SET cancel_requested = 1 WHERE number = ?1 AND state = 1;
