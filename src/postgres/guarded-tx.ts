import { SluiceError } from '../errors.ts'
import type { Sql } from './database.ts'

/** A query of postgres.js 3.4.9, as far as we step between it and its connection. */
export interface Statement extends Promise<unknown> {
  /** Called once, when somebody awaits the statement. It must not throw: nobody would catch it. */
  handler: (statement: Statement) => void
  resolve: (value: unknown) => void
  reject: (error: unknown) => void
  canceller: (statement: Statement) => Promise<unknown>
  /** Handed to the server, and not answered yet. */
  readonly active: boolean
  cancel: unknown
  cursor: unknown
  readable: unknown
  writable: unknown
}

/**
 * Called when a statement is to be run.
 * @param send hands it to postgres.js
 */
export type Gate = (statement: Statement, send: () => void) => void

/** Has the gate asked before the statement runs. A statement that becomes part of another is not run itself. */
export function guarded<Q>(query: Q, gate: Gate): Q {
  const statement = query as unknown as Statement
  const send = statement.handler
  statement.handler = () => gate(statement, () => send(statement))
  // The streams write to the connection by themselves, also when it has gone; of a cancel that finds no server nobody
  // catches the error. Both end the process.
  for (const name of ['cancel', 'cursor', 'readable', 'writable'] as const) {
    statement[name] = () => {
      throw new SluiceError('lifecycle', `.${name}() cannot be used in a transaction of the kit`)
    }
  }
  return query
}

/** What a transaction has of a client, each for its reason. */
const PLAIN = new Set(['json', 'array', 'typed', 'types', 'PostgresError'])
const REFUSED = new Set([
  'begin',
  'close',
  'cursor',
  'end',
  'file',
  'largeObject',
  'listen',
  'prepare',
  'release',
  'reserve',
  'subscribe',
])

/**
 * A client of postgres.js as a transaction's handler may use it.
 * @param own what it has besides, or instead
 */
export function guardedTx(sql: Sql, gate: Gate, own: Readonly<Record<string, unknown>>): unknown {
  const unsafe = (...args: Parameters<Sql['unsafe']>) => guarded(sql.unsafe(...args), gate)
  const notify = (channel: string, payload: string) =>
    guarded(sql`select pg_notify(${channel}, ${`${payload}`})`, gate)
  const methods: Readonly<Record<string, unknown>> = { unsafe, notify, ...own }
  return new Proxy(sql, {
    apply: (_target, _this, args: Parameters<Sql>) => {
      const made: unknown = Reflect.apply(sql, undefined, args)
      const isTemplate = Array.isArray((args[0] as { raw?: unknown } | undefined)?.raw)
      return isTemplate ? guarded(made, gate) : made
    },
    get: (_target, name) => {
      if (typeof name !== 'string') return undefined
      if (Object.hasOwn(methods, name)) return methods[name]
      if (PLAIN.has(name)) return Reflect.get(sql, name)
      return REFUSED.has(name) ? () => refuse(name) : undefined
    },
    set: () => false,
  })
}

function refuse(name: string): never {
  throw new SluiceError(
    'lifecycle',
    `${name}() cannot be used in a transaction of the kit: it begins and ends it itself`,
  )
}
