-- StoreCompletion: the first one wins, 0 rows: one is stored already. ?1 number, ?2 completion.
INSERT INTO retry_note (number, reruns, via_fallback, early) VALUES (?1, 0, 0, ?2)
ON CONFLICT (number) DO UPDATE SET early = ?2 WHERE early IS NULL;
