-- O3, O7: the first rows. A length is read without its body. ?1 how many.
SELECT seq, id, created_at, octet_length(body) FROM {table} WHERE seq > 0 ORDER BY seq LIMIT ?1;
