-- Version 1 of the schema (L1-L15). No parameters. Runs inside one BEGIN IMMEDIATE.
-- Everything here starts with `retry_`, so that a user's own tables can live in the same file.
--
-- retry_task: what inserts, claims, settles and rescues write, in few and mostly small columns, because every write of a
-- row handles them all. retry_body: what is written once. retry_note: what only some tasks ever have (errors, outputs,
-- checkpoints), apart so that no payload is rewritten for it. All go by the task's number, the shortest key and the one
-- that SQLite finds fastest; numbers of forgotten tasks are given again.
CREATE TABLE retry_task (
  number           INTEGER NOT NULL PRIMARY KEY,
  id               BLOB    NOT NULL CHECK (length(id) = 16),
  lane             INTEGER NOT NULL,    -- retry_lane.number * 8 + level; level = priority * 2 + (crashes > 0): 0 … 7
  state            INTEGER NOT NULL,
  run_at           INTEGER NOT NULL,
  attempt          INTEGER NOT NULL,
  crashes          INTEGER NOT NULL,
  step             INTEGER NOT NULL,
  version          INTEGER NOT NULL,
  last_nonce       INTEGER NOT NULL,
  session          BLOB,
  cancel_requested INTEGER NOT NULL,
  alarm_at         INTEGER,
  purge_at         INTEGER,
  created_at       INTEGER NOT NULL,
  updated_at       INTEGER NOT NULL,
  unique_key       TEXT,                -- the kind, a space, the key: keys are unique within a kind
  holds_key        INTEGER NOT NULL,
  parent           BLOB,
  total            INTEGER NOT NULL,
  open             INTEGER NOT NULL,
  failed           INTEGER NOT NULL,
  noted            INTEGER NOT NULL
) STRICT;

CREATE UNIQUE INDEX retry_id ON retry_task (id);
CREATE INDEX retry_ready  ON retry_task (lane, run_at, id)               WHERE state = 0;
-- The flag at its end lets a renewal find flagged tasks without reading a row.
CREATE INDEX retry_held   ON retry_task (session, id, cancel_requested)  WHERE session IS NOT NULL;
CREATE INDEX retry_alarm  ON retry_task (alarm_at, id)                   WHERE alarm_at IS NOT NULL;
-- What is to be purged, and how many tasks ended well.
CREATE INDEX retry_ended  ON retry_task (state, purge_at, id)            WHERE state >= 4;
CREATE INDEX retry_child  ON retry_task (parent, id)                     WHERE parent IS NOT NULL;
-- Comparisons, not IN: a list in a condition is built anew, as a table, by every write.
CREATE INDEX retry_listed ON retry_task (state, id)                      WHERE state >= 2 AND state <> 4;
CREATE UNIQUE INDEX retry_key ON retry_task (unique_key)                 WHERE holds_key = 1;

-- The queues and kinds that ever had a task, so that rows and the ready index carry a small number instead of two names.
-- Nothing is ever removed: a number once committed means the same for ever, to every process.
CREATE TABLE retry_lane (
  number INTEGER NOT NULL PRIMARY KEY,
  queue  TEXT    NOT NULL,
  kind   TEXT    NOT NULL,
  UNIQUE (queue, kind)
) STRICT;

-- The large text comes last: reading what stands before it does not touch its pages.
CREATE TABLE retry_body (
  number      INTEGER NOT NULL PRIMARY KEY,
  settings    TEXT,                     -- NULL: the usual ones
  key_scope   INTEGER,
  wait_secret INTEGER NOT NULL,
  headers     TEXT,
  payload     TEXT    NOT NULL
) STRICT;

CREATE TABLE retry_note (
  number       INTEGER NOT NULL PRIMARY KEY,
  reruns       INTEGER NOT NULL,
  via_fallback INTEGER NOT NULL,
  last_error   TEXT,
  completion   TEXT,
  early        TEXT,
  checkpoint   TEXT,
  output       TEXT
) STRICT;

CREATE TABLE retry_failure (
  body    INTEGER NOT NULL,
  number  INTEGER NOT NULL,
  attempt TEXT    NOT NULL,
  PRIMARY KEY (body, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE retry_session (
  id          BLOB    NOT NULL PRIMARY KEY,
  lease_until INTEGER NOT NULL,
  lost        INTEGER NOT NULL,
  dead        INTEGER NOT NULL,        -- closed, or its process is proved dead: its tasks need no grace
  name        TEXT    NOT NULL,
  host        TEXT    NOT NULL,
  queues      TEXT    NOT NULL,
  kinds       TEXT    NOT NULL
) STRICT, WITHOUT ROWID;

-- The paused queues.
CREATE TABLE retry_paused (
  queue TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;

-- One row. The file's `user_version` belongs to the user.
CREATE TABLE retry_schema (
  version INTEGER NOT NULL
) STRICT;
INSERT INTO retry_schema (version) VALUES (1);
