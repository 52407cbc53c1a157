-- Rooms let people in up to a capacity, in the order of their joins in Kafka's log. Whatever changes who is active in a
-- room, or its counters, holds the room's row; joins, looks and heartbeats do not.

CREATE SCHEMA IF NOT EXISTS admission;

CREATE TABLE admission.rooms (
  event_id      text        PRIMARY KEY CHECK (char_length(event_id) BETWEEN 1 AND 200),
  capacity      integer     NOT NULL CHECK (capacity >= 0),
  -- How long an admitted visitor may stay without a heartbeat.
  lease_ms      integer     NOT NULL DEFAULT 600000 CHECK (lease_ms BETWEEN 1000 AND 86400000),
  -- How long a place is kept for one who has been admitted and has not asked since.
  claim_ms      integer     NOT NULL DEFAULT 60000 CHECK (claim_ms BETWEEN 1000 AND 86400000),
  -- One who was not seen for so long when the turn comes is passed over; NULL: nobody is.
  wait_grace_ms integer     DEFAULT 120000 CHECK (wait_grace_ms BETWEEN 1000 AND 86400000),
  -- Whether a heartbeat extends the lease.
  renewable     boolean     NOT NULL DEFAULT true,
  paused        boolean     NOT NULL DEFAULT false,
  target_url    text,
  created_at    timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- What follows is kept by Sluice.
  active        integer     NOT NULL DEFAULT 0 CHECK (active >= 0),
  last_seq      bigint      NOT NULL DEFAULT 0,
  passed_seq    bigint      NOT NULL DEFAULT 0,
  granted       bigint      NOT NULL DEFAULT 0,
  freed         bigint      NOT NULL DEFAULT 0,
  -- Places freed, each counted as e^(−age / 60 s), as of freed_at.
  freed_weight  double precision NOT NULL DEFAULT 0,
  freed_at      timestamptz,
  freed_since   timestamptz
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);

COMMENT ON TABLE  admission.rooms IS 'Waiting rooms, one for each event; capacity may be changed at any time and evicts nobody';
COMMENT ON COLUMN admission.rooms.active IS 'Sessions with status ACTIVE; never raised above capacity';
COMMENT ON COLUMN admission.rooms.last_seq IS 'The highest place in the order that has been given';
COMMENT ON COLUMN admission.rooms.passed_seq IS 'Nobody waits at this place or before it';

CREATE TABLE admission.sessions (
  id            uuid        PRIMARY KEY,
  event_id      text        NOT NULL,
  user_id       text        NOT NULL CHECK (char_length(user_id) BETWEEN 1 AND 200),
  status        text        NOT NULL DEFAULT 'WAITING'
                  CHECK (status IN ('WAITING', 'ACTIVE', 'LEFT', 'EXPIRED', 'ABANDONED')),
  -- The place in the room's order; NULL until the join has been read from the log. Given once.
  seq           bigint,
  log_partition integer,
  log_offset    bigint,
  joined_at     timestamptz NOT NULL DEFAULT clock_timestamp(),
  -- The last sign of life.
  seen_at       timestamptz NOT NULL DEFAULT clock_timestamp(),
  granted_at    timestamptz,
  -- First asked for after it was granted; from then on the lease runs.
  claimed_at    timestamptz,
  lease_until   timestamptz,
  ended_at      timestamptz,
  CONSTRAINT sessions_active_leased CHECK (status <> 'ACTIVE' OR lease_until IS NOT NULL),
  CONSTRAINT sessions_ended CHECK ((status IN ('WAITING', 'ACTIVE')) = (ended_at IS NULL))
) WITH (fillfactor = 80);

-- Joining again finds the open session. By the user first: where nothing is known of the table yet, the planner would
-- else read a whole room by it to count a few of those who wait.
CREATE UNIQUE INDEX sessions_open ON admission.sessions (user_id, event_id) WHERE status IN ('WAITING', 'ACTIVE');
-- The order of those who wait: whose turn it is, and how many are ahead.
CREATE INDEX sessions_waiting ON admission.sessions (event_id, seq) WHERE status = 'WAITING' AND seq IS NOT NULL;
-- Leases that are over.
CREATE INDEX sessions_active ON admission.sessions (lease_until, event_id) WHERE status = 'ACTIVE';
-- What may be forgotten.
CREATE INDEX sessions_ended_at ON admission.sessions (ended_at) WHERE ended_at IS NOT NULL;

COMMENT ON TABLE  admission.sessions IS 'A visitor''s stay in a room, from the join to its end';
COMMENT ON COLUMN admission.sessions.log_offset IS 'Where the join lies in the joins'' topic';

-- The key that signs tokens when none is given by the environment.
CREATE TABLE admission.signing_key (
  only_one   boolean     PRIMARY KEY DEFAULT true CHECK (only_one),
  secret     bytea       NOT NULL CHECK (octet_length(secret) >= 32),
  created_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

-- Since when visitors have been able to show themselves without a break: for the time before, nobody is passed over.
CREATE TABLE admission.attendance (
  only_one boolean     PRIMARY KEY DEFAULT true CHECK (only_one),
  since    timestamptz NOT NULL,
  beat_at  timestamptz NOT NULL
) WITH (fillfactor = 10, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1000);
