-- An outbox that an application already has, in its own words.
create schema if not exists shop;

create table if not exists shop.messages (
  id             bigint generated always as identity primary key,
  message_id     uuid not null default gen_random_uuid(),
  channel        text not null,   -- the Kafka topic
  subject        text,            -- messages of one subject keep their order
  kind           text not null,
  body           text,
  body_bytes     bytea,
  headers        json not null default '{}',
  created_at     timestamptz not null default now(),
  deliver_after  timestamptz not null default now(),
  expires_at     timestamptz,
  attempts       int not null default 0,
  dead           boolean not null default false,
  blocks_subject boolean not null default false,
  reason         text,
  error          text
);

-- One lease for the whole table: one replica works, the others stand by.
create table if not exists shop.lease (
  only_row     boolean primary key default true check (only_row),
  owner        text,
  epoch        bigint not null default 0,
  leased_until timestamptz not null default '-infinity'
);

insert into shop.lease default values on conflict do nothing;
