-- What operators and a relay among several need: pauses, shared breakers, an audit trail, dead letters with their
-- history, daily partitions of the published events, a doorbell, and the outbox's binding to its server and cluster.

-- The refusals so far, oldest first: [{"at", "attempt", "reason", "error"}]. Null for nearly every row; it costs a
-- writer nothing.
ALTER TABLE outbox.events ADD COLUMN history jsonb;
COMMENT ON COLUMN outbox.events.history IS 'The refusals so far, oldest first; kept by Sluice';

ALTER TABLE outbox.dead_letters
  ADD COLUMN history    jsonb   NOT NULL DEFAULT '[]',
  ADD COLUMN blocks_key boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN outbox.dead_letters.history IS 'Every refusal, oldest first';
COMMENT ON COLUMN outbox.dead_letters.blocks_key IS 'Later events of its topic and key wait until it is requeued or discarded';

-- Empty unless a topic is configured to block: read by the relay at each reading.
CREATE INDEX dead_letters_blocking ON outbox.dead_letters (lane, topic, key) WHERE blocks_key;

-- Below this id nothing is in the lane and nothing will ever be (src/outbox/lane-starts.ts): kept for the next owner.
ALTER TABLE outbox.lanes ADD COLUMN low_water bigint NOT NULL DEFAULT 0;

-- What an operator has paused. The relays look at it several times a second.
CREATE TABLE outbox.pauses (
  kind      text        NOT NULL CHECK (kind IN ('lane', 'topic')),
  -- A lane's number, or a topic.
  name      text        NOT NULL,
  reason    text        NOT NULL,
  paused_by text        NOT NULL,
  paused_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (kind, name),
  CONSTRAINT pauses_lane_number CHECK (kind <> 'lane' OR name ~ '^([0-9]|[1-5][0-9]|6[0-3])$')
);
COMMENT ON TABLE outbox.pauses IS 'Lanes and topics that are not published until they are resumed';

-- Who did what by hand. Rows are only ever added.
CREATE TABLE outbox.audit (
  id      bigint      PRIMARY KEY GENERATED ALWAYS AS IDENTITY,
  at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  actor   text        NOT NULL,
  -- Such as dead.requeue, dead.discard, replay, lane.pause, topic.resume, adopt.
  action  text        NOT NULL,
  -- What it was done to: the filter as given, ids, numbers.
  subject jsonb       NOT NULL,
  reason  text,
  -- Rows that it changed.
  rows    bigint      NOT NULL
);
CREATE INDEX audit_at ON outbox.audit (at);
COMMENT ON TABLE outbox.audit IS 'What operators did; append only';

CREATE FUNCTION outbox.refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  RAISE EXCEPTION '%.% is append only', TG_TABLE_SCHEMA, TG_TABLE_NAME;
END $$;
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON outbox.audit
  FOR EACH STATEMENT EXECUTE FUNCTION outbox.refuse_change();

-- Where this outbox belongs: a relay that finds another server, database or Kafka cluster refuses to publish.
CREATE TABLE outbox.installation (
  only_row          boolean     PRIMARY KEY DEFAULT true CHECK (only_row),
  system_identifier text        NOT NULL,
  database_oid      text        NOT NULL,
  kafka_cluster_id  text,
  bound_at          timestamptz NOT NULL DEFAULT clock_timestamp()
);
COMMENT ON TABLE outbox.installation IS 'The server, database and Kafka cluster that this outbox belongs to';

-- Looked up by operators only, by id or time; ids ascend in the table's own order, so a summary of its pages is enough.
CREATE INDEX published_id ON outbox.published USING brin (id);

-- Partitions of outbox.published, one a day (UTC): those ahead are made, those that are wholly past the retention are
-- dropped. Owned by whoever migrated, so that the relay's role needs no right to create. A lock that is not to be
-- had at once is left for the next call. A day of which the default partition already has rows stays there.
CREATE FUNCTION outbox.keep_published(retention interval, days_ahead integer DEFAULT 7)
RETURNS TABLE (created integer, dropped integer)
LANGUAGE plpgsql SECURITY DEFINER
SET search_path = pg_catalog, pg_temp SET lock_timeout = '500ms' SET timezone = 'UTC'
AS $$
DECLARE
  day  date;
  name text;
BEGIN
  created := 0;
  dropped := 0;
  IF pg_try_advisory_xact_lock(hashtextextended('sluice keep_published', 0)) THEN
    FOR day IN SELECT current_date + n FROM generate_series(0, days_ahead) AS n LOOP
      name := 'published_' || to_char(day, 'YYYYMMDD');
      CONTINUE WHEN to_regclass('outbox.' || name) IS NOT NULL;
      BEGIN
        EXECUTE format('CREATE TABLE outbox.%I (LIKE outbox.published INCLUDING DEFAULTS)', name);
        -- Attaching leaves the other partitions usable, unlike CREATE … PARTITION OF.
        EXECUTE format(
          'ALTER TABLE outbox.published ATTACH PARTITION outbox.%I FOR VALUES FROM (%L) TO (%L)',
          name, day::timestamptz, (day + 1)::timestamptz
        );
        created := created + 1;
      EXCEPTION WHEN check_violation OR lock_not_available THEN
        NULL;
      END;
    END LOOP;
    FOR name IN
      SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
      WHERE i.inhparent = 'outbox.published'::regclass AND c.relname ~ '^published_[0-9]{8}$'
        AND to_date(right(c.relname, 8), 'YYYYMMDD') + 1 <= (now() - retention)::date
      ORDER BY c.relname
    LOOP
      BEGIN
        EXECUTE format('DROP TABLE outbox.%I', name);
        dropped := dropped + 1;
      EXCEPTION WHEN lock_not_available THEN
        NULL;
      END;
    END LOOP;
  END IF;
  RETURN NEXT;
END $$;
REVOKE EXECUTE ON FUNCTION outbox.keep_published FROM PUBLIC;
COMMENT ON FUNCTION outbox.keep_published IS 'Makes the partitions of the days ahead and drops those past the retention';
SELECT outbox.keep_published('100 years');

-- The doorbell. A relay that is about to sleep writes until when into this sequence (milliseconds since 1970, the
-- database's clock): a sequence, because it is read and written outside of transactions and leaves no dead rows. A
-- writer whose statement ends while a relay sleeps rings once; otherwise all that it pays is the comparison.
CREATE SEQUENCE outbox.asleep_until MINVALUE 0 START 0;
GRANT SELECT ON SEQUENCE outbox.asleep_until TO PUBLIC;

CREATE FUNCTION outbox.ring() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- A full notification queue, whoever filled it, would fail the writer's commit.
  IF pg_catalog.pg_notification_queue_usage() < 0.25 THEN
    PERFORM pg_catalog.pg_notify('sluice_outbox', '');
  END IF;
  RETURN NULL;
END $$;
CREATE TRIGGER events_ring AFTER INSERT ON outbox.events FOR EACH STATEMENT
  WHEN (pg_catalog.pg_sequence_last_value('outbox.asleep_until')
        > date_part('epoch', pg_catalog.clock_timestamp()) * 1000)
  EXECUTE FUNCTION outbox.ring();
