-- O1, O2: the table of an outbox. `seq` is the order: numbers are given once and never again, also after a rollback. A row that was
-- set aside has a number below zero, so that it is not in the way of the others. `bytes` tells a body's length without
-- reading it. One index: what a row costs the transaction that writes it is this row. No parameters.
CREATE TABLE IF NOT EXISTS {table} (
  seq        BIGINT     NOT NULL AUTO_INCREMENT PRIMARY KEY,
  id         BINARY(16) NOT NULL,
  kind       VARCHAR(128) CHARACTER SET ascii COLLATE ascii_bin NOT NULL,   -- for people
  created_at BIGINT     NOT NULL,
  bytes      INT        AS (OCTET_LENGTH(body)) STORED,
  body       MEDIUMTEXT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin NOT NULL,
  set_aside  TEXT       CHARACTER SET utf8mb4 COLLATE utf8mb4_bin
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4
