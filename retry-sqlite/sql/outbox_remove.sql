-- O4: removes a row that was handed over. ?1 number, ?2 id.
DELETE FROM {table} WHERE seq = ?1 AND id = ?2;
