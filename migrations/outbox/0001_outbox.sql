-- Events wait in outbox.events until Kafka has them. The table holds exactly what is still to be published.

CREATE SCHEMA IF NOT EXISTS outbox;

CREATE TABLE outbox.events (
  id            bigint      NOT NULL GENERATED ALWAYS AS IDENTITY,
  -- 64 lanes by the key's hash, so that one key is always in one lane; events without a key are spread by id.
  lane          smallint    NOT NULL GENERATED ALWAYS AS
                  ((CASE WHEN key IS NULL THEN id & 63 ELSE hashtextextended(key, 0) & 63 END)::smallint) STORED,
  attempts      integer     NOT NULL DEFAULT 0,
  created_at    timestamptz NOT NULL DEFAULT now(),
  not_before    timestamptz,
  expires_at    timestamptz,
  event_id      uuid        NOT NULL DEFAULT gen_random_uuid(),
  topic         text        NOT NULL,
  key           text,
  event_type    text        NOT NULL,
  headers       jsonb       NOT NULL DEFAULT '{}',
  payload       json,
  payload_bytes bytea,
  last_error    text,
  -- The only index a writer pays for. The relay reads a lane in id order from it.
  PRIMARY KEY (lane, id),
  CONSTRAINT events_one_payload CHECK (payload IS NULL OR payload_bytes IS NULL),
  CONSTRAINT events_headers_object CHECK (jsonb_typeof(headers) = 'object')
);

-- Keys that wait for a retry. Partial, and empty but for them: an insert only evaluates its condition.
CREATE INDEX events_retrying ON outbox.events (lane, topic, key) WHERE attempts > 0;

-- Rows live for milliseconds: vacuum by a fixed number of dead rows, not by a share of the table, and leave
-- room on the page for the update that a retry makes.
ALTER TABLE outbox.events SET (
  autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 20000,
  autovacuum_vacuum_insert_scale_factor = 0, autovacuum_vacuum_insert_threshold = 200000,
  autovacuum_analyze_scale_factor = 0, autovacuum_analyze_threshold = 100000
);

COMMENT ON TABLE  outbox.events IS 'Events still to be published. Insert in your own transaction; leave lane, attempts and last_error alone.';
COMMENT ON COLUMN outbox.events.id IS 'Ascending, given by the database; record header sluice-id';
COMMENT ON COLUMN outbox.events.lane IS 'Shard of the outbox, by the key''s hash; generated';
COMMENT ON COLUMN outbox.events.attempts IS 'How often publishing failed through the event''s own fault';
COMMENT ON COLUMN outbox.events.not_before IS 'Not published before this time; with attempts > 0 the key waits with it';
COMMENT ON COLUMN outbox.events.expires_at IS 'Past this time the event becomes a dead letter with reason expired';
COMMENT ON COLUMN outbox.events.event_id IS 'What consumers dedupe by; record header event_id';
COMMENT ON COLUMN outbox.events.key IS 'Order is kept per (topic, key); NULL: no order wanted; the empty string is a key';
COMMENT ON COLUMN outbox.events.headers IS 'JSON object of strings; they become record headers';
COMMENT ON COLUMN outbox.events.payload IS 'JSON, published verbatim';
COMMENT ON COLUMN outbox.events.payload_bytes IS 'Bytes, published untouched; both payloads NULL: a tombstone';

-- History of what was published, when the retention is above zero. The default partition takes every row, so
-- that a confirm can never fail for want of a partition.
CREATE TABLE outbox.published (
  id              bigint      NOT NULL,
  lane            smallint    NOT NULL,
  event_id        uuid        NOT NULL,
  topic           text        NOT NULL,
  key             text,
  event_type      text        NOT NULL,
  headers         jsonb       NOT NULL,
  payload         json,
  payload_bytes   bytea,
  created_at      timestamptz NOT NULL,
  attempts        integer     NOT NULL,
  published_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  kafka_partition integer     NOT NULL,
  kafka_offset    bigint      NOT NULL
) PARTITION BY RANGE (published_at);
CREATE TABLE outbox.published_default PARTITION OF outbox.published DEFAULT;
CREATE INDEX published_at ON outbox.published (published_at);

COMMENT ON TABLE outbox.published IS 'Events that Kafka has acknowledged, kept for SLUICE_RETENTION';

-- Final refusals. Nothing leaves this table by itself.
CREATE TABLE outbox.dead_letters (
  id            bigint      NOT NULL PRIMARY KEY,
  lane          smallint    NOT NULL,
  event_id      uuid        NOT NULL,
  topic         text        NOT NULL,
  key           text,
  event_type    text        NOT NULL,
  headers       jsonb       NOT NULL,
  payload       json,
  payload_bytes bytea,
  created_at    timestamptz NOT NULL,
  not_before    timestamptz,
  expires_at    timestamptz,
  attempts      integer     NOT NULL,
  reason        text        NOT NULL,
  error         text        NOT NULL,
  dead_at       timestamptz NOT NULL DEFAULT clock_timestamp()
);
CREATE INDEX dead_letters_dead_at ON outbox.dead_letters (dead_at);

COMMENT ON TABLE outbox.dead_letters IS 'Events that will not be published, with the reason';

-- Who may work which lane, and until when. A takeover raises the epoch; every write of the relay names it.
CREATE TABLE outbox.lanes (
  lane         smallint    PRIMARY KEY CHECK (lane BETWEEN 0 AND 63),
  owner        text,
  epoch        bigint      NOT NULL DEFAULT 0,
  leased_until timestamptz NOT NULL DEFAULT '-infinity'
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);
INSERT INTO outbox.lanes (lane) SELECT generate_series(0, 63);

-- The running relays. A lane's fair share is 64 divided by those alive.
CREATE TABLE outbox.replicas (
  replica     text        PRIMARY KEY,
  version     text        NOT NULL,
  host        text        NOT NULL,
  started_at  timestamptz NOT NULL DEFAULT clock_timestamp(),
  alive_until timestamptz NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 2000);

-- The circuit breakers of each replica, for operators to see; closed ones are not kept.
CREATE TABLE outbox.breakers (
  replica    text        NOT NULL REFERENCES outbox.replicas ON DELETE CASCADE,
  breaker    text        NOT NULL,
  state      text        NOT NULL CHECK (state IN ('open', 'half_open')),
  reason     text        NOT NULL,
  since      timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (replica, breaker)
);

-- The writer's function for any language. It returns the event's id for consumers to dedupe by.
CREATE FUNCTION outbox.enqueue(
  topic         text,
  key           text,
  event_type    text,
  payload       json        DEFAULT NULL,
  headers       jsonb       DEFAULT '{}',
  payload_bytes bytea       DEFAULT NULL,
  event_id      uuid        DEFAULT NULL,
  not_before    timestamptz DEFAULT NULL,
  expires_at    timestamptz DEFAULT NULL
) RETURNS uuid
LANGUAGE sql VOLATILE
AS $$
  INSERT INTO outbox.events (topic, key, event_type, payload, headers, payload_bytes, event_id, not_before, expires_at)
  VALUES ($1, $2, $3, $4, coalesce($5, '{}'), $6, coalesce($7, gen_random_uuid()), $8, $9)
  RETURNING events.event_id
$$;

COMMENT ON FUNCTION outbox.enqueue IS 'Writes one event in the caller''s transaction and returns its event_id';
