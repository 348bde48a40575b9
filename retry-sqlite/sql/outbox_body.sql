-- O6: the body of a row. ?1 number.
SELECT body FROM {table} WHERE seq = ?1;
