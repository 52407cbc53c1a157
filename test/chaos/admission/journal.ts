/**
 * What happens in the rooms, written down by triggers inside the transactions in which it happens.
 *
 * The numbers of a room's rows come in the order of its commits, wherever `room_held` is true: the number is taken
 * while the transaction has the room's row, the next one gets that row after the commit, and only then takes numbers.
 * Whether it has the row is read from the row itself: one's own lock stands in `xmax`, one's own update in `xmin`.
 */
export const JOURNAL_SQL = `
  create schema chaos;
  create table chaos.journal (
    n             bigint generated always as identity primary key,
    xact          xid8 not null default pg_current_xact_id(),
    at            timestamptz not null default clock_timestamp(),
    event_id      text not null,
    session_id    uuid,
    user_id       text,
    was           text,
    status        text,
    seq_was       bigint,
    seq           bigint,
    log_partition integer,
    log_offset    bigint,
    lease_until   timestamptz,
    seen_at       timestamptz,
    room_held     boolean,
    capacity      integer,
    paused        boolean,
    wait_grace_ms integer,
    lease_ms      integer,
    renewable     boolean,
    active        integer,
    granted       bigint,
    freed         bigint
  );

  create function chaos.holds_room(event text) returns boolean language sql volatile as $$
    select exists (
      select from admission.rooms r
      where r.event_id = event
        and pg_current_xact_id()::xid in (r.xmin, r.xmax)
    )
  $$;

  create function chaos.session_made() returns trigger language plpgsql as $$
  begin
    insert into chaos.journal (event_id, session_id, user_id, status, seq)
    values (new.event_id, new.id, new.user_id, new.status, new.seq);
    return null;
  end $$;
  create trigger session_made after insert on admission.sessions
    for each row execute function chaos.session_made();

  create function chaos.session_changed() returns trigger language plpgsql as $$
  begin
    insert into chaos.journal (event_id, session_id, user_id, was, status, seq_was, seq, log_partition, log_offset,
      lease_until, seen_at, room_held)
    values (old.event_id, old.id, old.user_id, old.status, new.status, old.seq, new.seq, new.log_partition,
      new.log_offset, old.lease_until, old.seen_at, chaos.holds_room(old.event_id));
    return null;
  end $$;
  create trigger session_changed after update on admission.sessions for each row
    when ((old.status, old.seq, old.log_partition, old.log_offset, old.user_id, old.event_id)
      is distinct from (new.status, new.seq, new.log_partition, new.log_offset, new.user_id, new.event_id))
    execute function chaos.session_changed();

  create function chaos.session_deleted() returns trigger language plpgsql as $$
  begin
    insert into chaos.journal (event_id, session_id, user_id, was, seq_was, room_held)
    values (old.event_id, old.id, old.user_id, old.status, old.seq, true);
    return null;
  end $$;
  create trigger session_deleted after delete on admission.sessions
    for each row execute function chaos.session_deleted();

  create function chaos.room_changed() returns trigger language plpgsql as $$
  begin
    insert into chaos.journal (event_id, seq, capacity, paused, wait_grace_ms, lease_ms, renewable, active, granted,
      freed)
    values (new.event_id, new.last_seq, new.capacity, new.paused, new.wait_grace_ms, new.lease_ms, new.renewable,
      new.active, new.granted, new.freed);
    return null;
  end $$;
  create trigger room_changed after insert or update on admission.rooms
    for each row execute function chaos.room_changed();`
