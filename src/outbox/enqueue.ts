import { SluiceError } from '../errors.ts'
import { type NewEvent, shapeOf, toRecord } from './new-event.ts'

/** What `sql.begin` of postgres.js gives its callback, or a connection from `sql.reserve()`. */
export type PostgresJsTransaction = PostgresJsQueryable &
  ({ savepoint(...args: never[]): unknown } | { release(): unknown })

/**
 * A `PoolClient` or `Client` of pg, or anything made to look like one: `query` runs one statement with `$1` as its
 * only placeholder inside your transaction and resolves to `{ rows }`, or to the rows themselves.
 *
 * Knex: `{ query: (text, values) => trx.raw(text.replace('$1', '?'), [...values]) }`.
 */
export type PgTransaction = PgQueryable & { readonly totalCount?: never; readonly unsafe?: never }

export type Transaction = PostgresJsTransaction | PgTransaction

/** A transaction, or a pool: a pg `Pool`, a top-level `sql` of postgres.js. */
export type Queryable = PostgresJsQueryable | PgQueryable

export interface EnqueueOptions {
  /**
   * Write in a transaction of its own, on a pool for instance. The events are then published whether or not any
   * other change of yours commits. Default false: a pool is refused.
   */
  readonly autocommit?: boolean
}

interface PostgresJsQueryable {
  unsafe(text: string, values: string[], options: { prepare: boolean }): PromiseLike<unknown>
}

interface PgQueryable {
  query(text: string, values: string[]): PromiseLike<unknown>
}

export const EVENTS_MAX = 10_000
/** PostgreSQL takes parameters up to 1 GiB; a character of the document is at most three bytes of it. */
const DOCUMENT_CHARS_MAX = 2 ** 28

/**
 * One round trip for any number of events. The document comes as text, because drivers that learn that a parameter
 * is JSON stringify it once more. Ids are drawn after the sort, so they ascend in the given order. `returning 1` needs
 * no privilege to read events, and lets the writer see that its statement was really run.
 */
const ENQUEUE = `with written as (
  insert into outbox.events
    (event_id, topic, key, event_type, payload, payload_bytes, headers, not_before, expires_at)
  select event_id, topic, key, event_type, payload::json, decode(payload_base64, 'base64'), headers,
    not_before, expires_at
  from rows from (json_to_recordset($1::text::json) as (
    event_id uuid, topic text, key text, event_type text, payload text, payload_base64 text,
    headers jsonb, not_before timestamptz, expires_at timestamptz
  )) with ordinality
  order by ordinality
  returning 1
)
select count(*)::int as written from written`

/**
 * Writes events to the outbox in the caller's transaction, by one statement. All of them are checked before anything
 * is sent, so a bad one leaves the transaction usable. Events of one (topic, key) are published in the given order.
 *
 * The caller owes a transaction and its commit; without the commit nothing is published. Errors of the driver come
 * through as they are, so that retries on SQLSTATE go on working.
 *
 * @param events at most 10,000
 * @returns the event id of each event, in the given order
 * @throws SluiceError `event`: a bad event, named by its index; `options`: not a transaction;
 *   `schema`: the outbox has not been migrated; `database`: the statement was not run as given
 */
export function enqueue(tx: Transaction, event: NewEvent): Promise<string>
export function enqueue(tx: Transaction, events: readonly NewEvent[]): Promise<string[]>
export function enqueue(
  db: Queryable,
  event: NewEvent,
  options: EnqueueOptions & { readonly autocommit: true },
): Promise<string>
export function enqueue(
  db: Queryable,
  events: readonly NewEvent[],
  options: EnqueueOptions & { readonly autocommit: true },
): Promise<string[]>
export async function enqueue(
  db: Queryable,
  given: NewEvent | readonly NewEvent[],
  options: EnqueueOptions = {},
): Promise<string | string[]> {
  const run = runnerOf(db, options.autocommit ?? false)
  const many = Array.isArray(given)
  const events: readonly NewEvent[] = many ? given : [given as NewEvent]
  if (events.length === 0) return []
  if (events.length > EVENTS_MAX) {
    throw new SluiceError(
      'event',
      `${events.length} events in one call: hand in at most ${EVENTS_MAX}, several times within the transaction`,
    )
  }
  const records = events.map((event, index) => toRecord(event, many ? `events[${index}]` : 'event'))
  const written = writtenBy(await sent(run, toDocument(records)))
  if (written !== records.length) {
    throw new SluiceError(
      'database',
      `the database reports ${written ?? 'nothing'} for ${records.length} events: roll back; ` +
        'query() must run the statement as given and resolve to { rows }, and outbox.events must keep every row',
    )
  }
  const ids = records.map(record => record.event_id)
  return many ? ids : (ids[0] as string)
}

/**
 * The statement's parameter: a JSON array.
 * @throws SluiceError `event` when it would be longer than `charsMax`
 */
export function toDocument(records: readonly object[], charsMax = DOCUMENT_CHARS_MAX): string {
  const items: string[] = []
  let chars = 0
  for (const record of records) {
    const item = JSON.stringify(record)
    chars += item.length + 1
    if (chars > charsMax) {
      throw new SluiceError(
        'event',
        `the events of one call exceed ${charsMax} characters at events[${items.length}]: split the call`,
      )
    }
    items.push(item)
  }
  return `[${items.join(',')}]`
}

type Runner = (document: string) => PromiseLike<unknown>

/** Tells drivers apart by their shape, so that none of them becomes a dependency of the writer. */
function runnerOf(db: unknown, autocommit: boolean): Runner {
  const given = (db ?? {}) as Record<string, unknown>
  if (typeof given.unsafe === 'function') {
    const isTransaction =
      typeof given.savepoint === 'function' || typeof given.release === 'function'
    if (!isTransaction && !autocommit) refusePool('the top-level `sql`', 'sql.begin(tx => …)')
    const sql = db as PostgresJsQueryable
    // Prepared unless the caller has turned that off for the connection: else postgres.js takes two round trips.
    return document => sql.unsafe(ENQUEUE, [document], { prepare: true })
  }
  if (typeof given.query === 'function') {
    const isPool = typeof given.totalCount === 'number'
    if (isPool && !autocommit) refusePool('a Pool', 'pool.connect() after BEGIN')
    const client = db as PgQueryable
    return document => client.query(ENQUEUE, [document])
  }
  throw new SluiceError(
    'options',
    `the first argument is ${shapeOf(db)}: hand in the transaction of postgres.js, a client of pg, or an object ` +
      'with query(text, values) that resolves to { rows }',
  )
}

function refusePool(what: string, source: string): never {
  throw new SluiceError(
    'options',
    `the first argument is ${what}, not a transaction: the event would be written even if your change is rolled ` +
      `back. Hand in the transaction of ${source}, or { autocommit: true } as third argument if that is wanted`,
  )
}

async function sent(run: Runner, document: string): Promise<unknown> {
  try {
    return await run(document)
  } catch (error) {
    const code = (error as { code?: unknown } | null)?.code
    const missing = code === '42P01' || code === '3F000' // undefined_table, invalid_schema_name
    if (!missing) throw error
    throw new SluiceError('schema', 'outbox.events does not exist here: run `sluice migrate`', {
      cause: error,
    })
  }
}

function writtenBy(result: unknown): number | undefined {
  const rows = Array.isArray(result) ? result : (result as { rows?: unknown } | undefined)?.rows
  if (!Array.isArray(rows)) return undefined
  const written: unknown = rows[0]?.written
  return typeof written === 'number' ? written : undefined
}
