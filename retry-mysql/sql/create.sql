-- Version 1 of the schema (L1-L15). No parameters. One statement after the other, each of which may have been run before:
-- a server that stops halfway is migrated by the next attempt. The version is written last.
--
-- retry_task: what inserts, claims, settles and rescues write, addressed by its id, whose order is that of creation, so that
-- inserts fill pages one after the other. Its headers and its payload stand in it while they are small: a single task is one statement, and
-- a claim reads one row. retry_body: the others, so that a page holds many tasks and none is copied when its task changes. retry_note: what only
-- some tasks ever have (errors, outputs, checkpoints), apart so that no payload is rewritten for it.
--
-- Texts are binary: bytes come back as they went in, case and trailing spaces matter, and no connection's character set can
-- change them. InnoDB has no partial indexes: an index is written for every row. So what is asked of one state alone stands in one index,
-- task_place, in which a task has one entry that moves with its state: pending by queue, kind, level and due time, running by session,
-- ended by the time of its purge, the others by id. The columns of the other indexes are NULL where they say nothing, and an
-- entry that stays NULL is never touched.
CREATE TABLE IF NOT EXISTS retry_task (
  id               BINARY(16)     NOT NULL PRIMARY KEY,
  queue            VARBINARY(128) NOT NULL,
  kind             VARBINARY(128) NOT NULL,
  level            TINYINT        NOT NULL,      -- priority * 2 + (crashes > 0): 0 … 7
  state            TINYINT        NOT NULL,
  run_at           BIGINT         NOT NULL,
  attempt          INT            NOT NULL,
  crashes          INT            NOT NULL,
  step             INT            NOT NULL,
  version          BIGINT         NOT NULL,
  last_nonce       BIGINT         NOT NULL,
  session          BINARY(16)     NOT NULL,      -- zeros: none; a row that does not grow when it is claimed stays in its page
  cancel_requested TINYINT        NOT NULL,
  alarm_at         BIGINT,
  purge_at         BIGINT,
  created_at       BIGINT         NOT NULL,
  updated_at       BIGINT         NOT NULL,
  unique_key       VARBINARY(255),
  holds_key        TINYINT        NOT NULL,
  parent           BINARY(16),
  total            INT            NOT NULL,
  open             INT            NOT NULL,
  failed           INT            NOT NULL,
  failures         INT            NOT NULL,      -- failed attempts ever noted; the last has this number
  noted            TINYINT        NOT NULL,      -- whether there is a note
  early            TINYINT        NOT NULL,      -- whether the note has an early completion
  settings         TEXT CHARACTER SET ascii COLLATE ascii_bin,   -- NULL: the usual ones
  key_scope        TINYINT,
  wait_secret      BIGINT         NOT NULL,
  bytes            INT            NOT NULL,      -- of the headers and the payload
  headers          LONGBLOB,
  payload          LONGBLOB,                     -- NULL: it and the headers are in retry_body
  place_name       VARBINARY(128) AS (CASE state WHEN 0 THEN queue WHEN 1 THEN session ELSE '' END) STORED,
  place_kind       VARBINARY(128) AS (IF(state = 0, kind, '')) STORED,
  place_level      TINYINT        AS (IF(state = 0, level, 0)) STORED,
  place_at         BIGINT         AS (CASE WHEN state = 0 THEN run_at WHEN state < 4 THEN 0
                                           ELSE COALESCE(purge_at, 9223372036854775807) END) STORED,
  listed           TINYINT        AS (IF(state IN (5, 6), state, NULL)) STORED,
  held_key         VARBINARY(255) AS (IF(holds_key = 1, unique_key, NULL)) STORED,
  KEY task_place  (state, place_name, place_kind, place_level, place_at, id, cancel_requested),
  KEY task_alarm  (alarm_at, id),
  KEY task_child  (parent, id),
  KEY task_listed (listed, id),
  UNIQUE KEY task_key (kind, held_key)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4;
CREATE TABLE IF NOT EXISTS retry_body (
  id      BINARY(16) NOT NULL PRIMARY KEY,
  headers LONGBLOB,
  payload LONGBLOB   NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4;
CREATE TABLE IF NOT EXISTS retry_note (
  id           BINARY(16) NOT NULL PRIMARY KEY,
  changed      INT        NOT NULL,                         -- which columns the last write meant
  reruns       INT        NOT NULL,
  via_fallback TINYINT    NOT NULL,
  last_error   BLOB,
  bytes        INT AS (COALESCE(OCTET_LENGTH(checkpoint), 0) + COALESCE(OCTET_LENGTH(completion), 0)) STORED,
  completion   LONGBLOB,
  early        LONGBLOB,
  checkpoint   LONGBLOB,
  output       LONGBLOB
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4;
CREATE TABLE IF NOT EXISTS retry_failure (
  id      BINARY(16) NOT NULL,
  number  INT        NOT NULL,
  attempt MEDIUMBLOB NOT NULL,
  PRIMARY KEY (id, number)
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4;
CREATE TABLE IF NOT EXISTS retry_session (
  id          BINARY(16) NOT NULL PRIMARY KEY,
  lease_until BIGINT     NOT NULL,
  lost        TINYINT    NOT NULL,
  dead        TINYINT    NOT NULL,                          -- closed: its tasks need no grace
  name        VARBINARY(128) NOT NULL,
  host        BLOB       NOT NULL,
  queues      MEDIUMBLOB NOT NULL,
  kinds       MEDIUMBLOB NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4;
CREATE TABLE IF NOT EXISTS retry_paused (
  queue VARBINARY(128) NOT NULL PRIMARY KEY
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4;
CREATE TABLE IF NOT EXISTS retry_schema (
  one     TINYINT NOT NULL PRIMARY KEY,
  version INT     NOT NULL
) ENGINE = InnoDB ROW_FORMAT = DYNAMIC DEFAULT CHARSET = utf8mb4;
REPLACE INTO retry_schema (one, version) VALUES (1, 1)
