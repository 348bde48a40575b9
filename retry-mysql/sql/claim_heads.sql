-- L5: the first task of each asked lane, due or not, in one statement: one seek into the index for each. The place is one
-- text, because a subquery in the list gives one value, and lanes cannot be joined laterally on MariaDB; times are shifted to be positive.
-- Parameters: queue, a list of [kind in hexadecimal digits, level].
SELECT e.n,
       (SELECT CONCAT(LPAD(t.place_at + 9007199254740992, 17, '0'), HEX(t.id)) FROM retry_task t FORCE INDEX (task_place)
         WHERE t.state = 0 AND t.place_name = ? AND t.place_kind = UNHEX(e.kind) AND t.place_level = e.level
         ORDER BY t.place_at, t.id LIMIT 1) AS head
  FROM JSON_TABLE(?, '$[*]' COLUMNS (n FOR ORDINALITY,
         kind VARCHAR(256) CHARACTER SET latin1 PATH '$[0]', level TINYINT PATH '$[1]')) e
HAVING head IS NOT NULL
