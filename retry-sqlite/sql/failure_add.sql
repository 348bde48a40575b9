-- A failed attempt; answers its place in the history. ?1 body, ?2 the attempt.
INSERT INTO retry_failure (body, number, attempt)
SELECT ?1, coalesce(max(number), 0) + 1, ?2 FROM retry_failure WHERE body = ?1
RETURNING number;
