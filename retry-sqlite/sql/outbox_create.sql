-- O1, O2: the table of an outbox. `seq` is the order: numbers are given once and never again (AUTOINCREMENT), also when the table is
-- empty. A row that was set aside has a number below zero, so that it is not in the way of the others. No parameters.
CREATE TABLE IF NOT EXISTS {table} (
  seq        INTEGER PRIMARY KEY AUTOINCREMENT,
  id         BLOB    NOT NULL CHECK (length(id) = 16),
  kind       TEXT    NOT NULL,    -- for people
  created_at INTEGER NOT NULL,
  body       TEXT    NOT NULL,
  set_aside  TEXT
) STRICT;
