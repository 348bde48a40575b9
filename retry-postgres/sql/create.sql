-- Version 1 of the schema (L1-L15). No parameters. Runs inside one transaction that holds the migration's lock.
--
-- task: what inserts, claims, settles and rescues write, in fixed-size columns first, because every write copies the row.
-- body: what is written once. note: what only some tasks ever have (errors, outputs, checkpoints), apart so that no
-- payload is copied for it. Room is left in the pages of what is updated, so that a counter or a lease is a heap-only
-- update; vacuum comes by the number of dead rows and not by a share of the table, which a backlog would make late.
CREATE TABLE {schema}.task (
  id               uuid     NOT NULL PRIMARY KEY,
  version          bigint   NOT NULL,
  last_nonce       bigint   NOT NULL,
  run_at           bigint   NOT NULL,
  created_at       bigint   NOT NULL,
  updated_at       bigint   NOT NULL,
  alarm_at         bigint,
  purge_at         bigint,
  deadline_after   bigint,               -- milliseconds, for the alarm that a claim sets
  session          uuid,
  parent           uuid,
  attempt          integer  NOT NULL,
  crashes          integer  NOT NULL,
  step             integer  NOT NULL,
  total            integer  NOT NULL,
  open             integer  NOT NULL,
  failed           integer  NOT NULL,
  bytes            integer  NOT NULL,    -- of payload and headers: a claim stops before its answer grows too large
  state            smallint NOT NULL,
  level            smallint NOT NULL,    -- priority * 2 + (crashes > 0): 0 … 7
  cancel_requested boolean  NOT NULL,
  holds_key        boolean  NOT NULL,
  noted            boolean  NOT NULL,    -- there is a row in note
  queue            text     COLLATE "C" NOT NULL,
  kind             text     COLLATE "C" NOT NULL,
  unique_key       text     COLLATE "C"
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000,
        autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 20000, autovacuum_vacuum_cost_delay = 0);

CREATE INDEX task_ready  ON {schema}.task (queue, kind, level, run_at, id) WHERE state = 0;
CREATE INDEX task_held   ON {schema}.task (session, id)                    WHERE session IS NOT NULL;
-- What a renewal looks for.
CREATE INDEX task_flagged ON {schema}.task (session, id)                   WHERE session IS NOT NULL AND cancel_requested;
CREATE INDEX task_alarm  ON {schema}.task (alarm_at, id)                   WHERE alarm_at IS NOT NULL;
-- What is to be purged, and how many tasks ended well.
CREATE INDEX task_ended  ON {schema}.task (state, purge_at, id)            WHERE state >= 4;
CREATE INDEX task_child  ON {schema}.task (parent, id)                     WHERE parent IS NOT NULL;
CREATE INDEX task_listed ON {schema}.task (state, id)                      WHERE state IN (2, 3, 5, 6);
CREATE UNIQUE INDEX task_key ON {schema}.task (kind, unique_key)           WHERE holds_key;

CREATE TABLE {schema}.body (
  id          uuid     NOT NULL PRIMARY KEY,
  wait_secret bigint   NOT NULL,
  key_scope   smallint,
  settings    text,                      -- NULL: the usual ones
  headers     text,
  payload     text     NOT NULL
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0,
        autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 50000);

CREATE TABLE {schema}.note (
  id           uuid NOT NULL PRIMARY KEY,
  reruns       integer,                  -- NULL: 0
  via_fallback boolean,                  -- NULL: false
  last_error   text,
  completion   text,
  early        text,
  checkpoint   text,
  output       text
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000,
        autovacuum_vacuum_cost_delay = 0);

CREATE TABLE {schema}.failure (
  id      uuid    NOT NULL,
  number  integer NOT NULL,
  attempt text    NOT NULL,
  PRIMARY KEY (id, number)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000, autovacuum_vacuum_cost_delay = 0);

-- No index on lease_until: a renewal stays a heap-only update. One row per worker, so the table is read whole.
CREATE TABLE {schema}.session (
  id          uuid    NOT NULL PRIMARY KEY,
  lease_until bigint  NOT NULL,
  lost        boolean NOT NULL,
  dead        boolean NOT NULL,          -- closed by its worker: its tasks need no grace
  name        text    NOT NULL,
  host        text    NOT NULL,
  queues      text    NOT NULL,
  kinds       text    NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 100,
        autovacuum_vacuum_cost_delay = 0);

-- The paused queues.
CREATE TABLE {schema}.paused (
  queue text COLLATE "C" NOT NULL PRIMARY KEY
);

-- One row.
CREATE TABLE {schema}.version (
  version integer NOT NULL
);
INSERT INTO {schema}.version (version) VALUES (1);
