import type postgres from 'postgres'

export type Sql = postgres.Sql<Record<string, never>>

/** Two demos that start at once on one database must not create the same objects. */
const SCHEMA_LOCK = 7_305_441

/** Creates what the shop needs beside the outbox, where it is not there yet. */
export async function createShop(sql: Sql): Promise<void> {
  await sql.begin(async tx => {
    await tx`select pg_advisory_xact_lock(${SCHEMA_LOCK}::bigint)`
    await tx.unsafe(`
      create schema if not exists shop;

      -- A customer's row is locked before anything of his is written: the lock gives his events their order.
      create table if not exists shop.customers (
        run          text   not null,
        customer     text   not null,
        orders_seq   bigint not null default 0,
        payments_seq bigint not null default 0,
        primary key (run, customer)
      );

      create table if not exists shop.orders (
        order_id    uuid        primary key,
        run         text        not null,
        customer    text        not null,
        total_cents bigint      not null,
        status      text        not null,
        placed_at   timestamptz not null default now()
      );

      -- What committed: one row per event, written by the event's own transaction. The verdict goes by it.
      create table if not exists shop.ledger (
        event_id       uuid        primary key,
        topic          text        not null,
        key            text        not null,
        seq_in_key     bigint      not null,
        event_type     text        not null,
        headers        jsonb       not null,
        payload_sha256 text        not null,
        written_at     timestamptz not null default now()
      );
      create index if not exists ledger_topic on shop.ledger (topic);
    `)
  })
}

/** The customers of one run, all at zero. */
export async function addCustomers(sql: Sql, run: string, customers: number): Promise<void> {
  await sql`
    insert into shop.customers (run, customer)
    select ${run}, 'customer-' || n from generate_series(0, ${customers - 1}::int) n
  `
}
