-- O6: the body of a row; of one that is larger than any write takes so much that this shows. substr would end at a U+0000. ?1 number.
SELECT CASE WHEN octet_length(body) > 2097152 THEN substr(body, 1, 2097153) ELSE body END FROM {table} WHERE seq = ?1;
