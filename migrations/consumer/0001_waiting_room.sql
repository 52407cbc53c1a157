-- The consumer's side: which messages a group has handled, and what waits. It lives in the database of the consuming
-- service, beside `outbox`, through which everything that leaves goes.
CREATE SCHEMA IF NOT EXISTS waiting_room;

-- A ledger of ids and nothing else: a row says that the group has taken the message over, by an effect or by a task.
-- It is written in the transaction of that effect or task, so that both are there or neither.
CREATE TABLE waiting_room.inbox (
  group_id   text        NOT NULL,
  message_id text        NOT NULL,
  topic      text        NOT NULL,
  partition  integer     NOT NULL,
  "offset"   bigint      NOT NULL,
  handled_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (group_id, message_id)
);
-- For pruning. Rows come in by time, so a few pages of summary do.
CREATE INDEX inbox_handled_at ON waiting_room.inbox USING brin (handled_at)
  WITH (pages_per_range = 32, autosummarize = on);
COMMENT ON TABLE waiting_room.inbox IS 'Ids of messages that a consumer group has taken over';

-- A waiting key: records of it wait, or it is held. No row: nothing waits, and records of it are handled as they come.
-- Whoever adds a record to it or takes one away locks its row first; that is what keeps the order.
CREATE TABLE waiting_room.keys (
  group_id    text        NOT NULL,
  topic       text        NOT NULL,
  key         bytea       NOT NULL,
  -- Its tasks that are waiting, behind or held.
  open        integer     NOT NULL CHECK (open >= 0),
  -- 'infinity': until someone resumes it.
  held_until  timestamptz,
  held_reason text,
  PRIMARY KEY (group_id, topic, key)
)
-- Rooms are empty one moment and full the next. A plan that was made while the file had no pages reads the whole table,
-- and is kept until the table is analyzed; so the file keeps what it has.
WITH (vacuum_truncate = off);
-- For operators: the few that are held.
CREATE INDEX keys_held ON waiting_room.keys (group_id) WHERE held_until IS NOT NULL;
COMMENT ON TABLE waiting_room.keys IS 'Keys whose records wait: later ones queue behind';

-- The one place where work waits.
CREATE TABLE waiting_room.tasks (
  id           bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  group_id     text        NOT NULL,
  message_id   text        NOT NULL,
  topic        text        NOT NULL,
  partition    integer     NOT NULL,
  "offset"     bigint      NOT NULL,
  key          bytea,
  value        bytea,
  -- [[name, text]] in the record's order; a value that is no UTF-8 as {"base64": "…"}, none at all as null.
  headers      jsonb       NOT NULL DEFAULT '[]',
  record_at    timestamptz NOT NULL,
  -- Part of its waiting key.
  ordered      boolean     NOT NULL,
  -- waiting: runs when due · behind: after the earlier ones of its key · held: until resumed ·
  -- dead, expired, removed: it ended so. One that is done has no row any more.
  state        text        NOT NULL CHECK (state IN ('waiting', 'behind', 'held', 'dead', 'expired', 'removed')),
  -- Times that it was handed to the handler; counted when that begins.
  attempts     integer     NOT NULL DEFAULT 0,
  -- Grows with each change.
  rev          integer     NOT NULL DEFAULT 1,
  due_at       timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz,
  -- Of the worker that has it, until due_at. Every later change must name it.
  token        uuid,
  -- When due it is published there, instead of being handled.
  retry_topic  text,
  reason       text,
  last_error   text,
  -- The failures so far, the last twenty: [{"at", "attempt", "reason"}].
  history      jsonb       NOT NULL DEFAULT '[]',
  created_at   timestamptz NOT NULL DEFAULT now(),
  changed_at   timestamptz NOT NULL DEFAULT now(),
  UNIQUE (group_id, message_id)
) WITH (vacuum_truncate = off);
-- What is due, earliest first.
CREATE INDEX tasks_due ON waiting_room.tasks (group_id, due_at) WHERE state = 'waiting';
-- The same of one partition, for when others are held.
CREATE INDEX tasks_due_of_partition ON waiting_room.tasks (group_id, topic, partition, due_at) WHERE state = 'waiting';
-- The next of a key.
CREATE INDEX tasks_of_key ON waiting_room.tasks (group_id, topic, key, id)
  WHERE ordered AND state IN ('waiting', 'behind', 'held');
CREATE INDEX tasks_expiring ON waiting_room.tasks (group_id, expires_at)
  WHERE expires_at IS NOT NULL AND state IN ('waiting', 'behind', 'held');
-- Lists for operators, and the sweeping of what ended.
CREATE INDEX tasks_in_state ON waiting_room.tasks (group_id, state, id);
COMMENT ON TABLE waiting_room.tasks IS 'Records that wait: for a time, for an earlier one, or for a person';

-- What is not read at all until it is resumed. topic '*': every topic; partition -1: every partition.
CREATE TABLE waiting_room.holds (
  group_id   text        NOT NULL,
  topic      text        NOT NULL DEFAULT '*',
  partition  integer     NOT NULL DEFAULT -1,
  -- 'infinity': until someone resumes it.
  held_until timestamptz NOT NULL DEFAULT 'infinity',
  reason     text        NOT NULL,
  held_by    text        NOT NULL,
  held_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (group_id, topic, partition)
);
COMMENT ON TABLE waiting_room.holds IS 'Groups, topics and partitions that are paused';

-- Where reading began, and what was in work, to find a record that kills the process that handles it.
CREATE TABLE waiting_room.starts (
  group_id         text        NOT NULL,
  topic            text        NOT NULL,
  partition        integer     NOT NULL,
  "offset"         bigint      NOT NULL,
  starts           integer     NOT NULL,
  attempted        bigint,
  attempted_starts integer     NOT NULL DEFAULT 0,
  changed_at       timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (group_id, topic, partition)
);

-- Tells the control topic, through the outbox, what a task has become. A null topic tells nobody. The record itself
-- goes along once, with the first event, so that the room can be built again from the topic; but for a value of more
-- than 512 KiB, which as base64 could be more than a broker takes.
CREATE FUNCTION waiting_room.announce(control_topic text, event_type text, task waiting_room.tasks)
RETURNS void LANGUAGE sql AS $$
  INSERT INTO outbox.events (topic, key, event_type, payload, headers)
  SELECT control_topic,
    task.group_id || '/' || task.topic || '/' || coalesce(encode(task.key, 'escape'), task.message_id),
    event_type,
    json_strip_nulls(json_build_object(
      'type', event_type, 'group', task.group_id, 'messageId', task.message_id, 'rev', task.rev,
      'state', CASE event_type WHEN 'twr.completed' THEN 'done' WHEN 'twr.reproduced' THEN 'done' ELSE task.state END,
      'topic', task.topic, 'partition', task.partition, 'offset', task."offset"::text, 'attempts', task.attempts,
      'dueAt', task.due_at, 'expiresAt', task.expires_at, 'reason', task.reason,
      'key', CASE WHEN task.rev = 1 THEN translate(encode(task.key, 'base64'), E'\n', '') END,
      'value', CASE WHEN task.rev = 1 AND octet_length(task.value) <= 524288
        THEN translate(encode(task.value, 'base64'), E'\n', '') END,
      'valueBytes', CASE WHEN task.rev = 1 THEN octet_length(task.value) END,
      'headers', CASE WHEN task.rev = 1 THEN task.headers END,
      'recordAt', CASE WHEN task.rev = 1 THEN task.record_at END,
      'ordered', CASE WHEN task.rev = 1 THEN task.ordered END)),
    jsonb_build_object('twr-group', task.group_id)
  WHERE control_topic IS NOT NULL
$$;
COMMENT ON FUNCTION waiting_room.announce IS 'Tells the control topic what a task has become';
