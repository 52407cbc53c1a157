import type { Bites } from './fault-proxy.ts'
import type { FrameSplitter } from './frame-splitter.ts'
import type { Plan } from './plan.ts'
import type { StatementFault } from './postgres-proxy.ts'
import { startupKind, startupMessages, textsOf, typedMessages, typeOf } from './postgres-wire.ts'
import type { Conversation, Link } from './tcp-proxy.ts'

/**
 * What the server answers up to one ReadyForQuery: to a simple query, or to all extended messages before a Sync. Drivers
 * send the next unit before the answer to the one before has come.
 */
interface Unit {
  swallow: Plan | undefined
  readonly extended: boolean
  /** Extended messages may still be added. */
  open: boolean
}

/** Follows one connection well enough to know which answer belongs to which statement's text. */
export class PostgresConversation implements Conversation {
  readonly #faults: { readonly swallows: StatementFault[]; readonly drops: StatementFault[] }
  readonly #bites: Bites
  readonly #link: Link
  #fromClient: FrameSplitter = startupMessages()
  readonly #fromServer = typedMessages()
  #starting = true
  /** The server's next byte is its answer to a request for encryption. */
  #encryptionAsked = false
  /** Nothing can be read any more. */
  #encrypted = false
  readonly #statements = new Map<string, string>()
  readonly #portals = new Map<string, string>()
  /** The first one is being answered; the login counts as one. */
  readonly #units: Unit[] = [{ swallow: undefined, extended: false, open: false }]

  constructor(
    faults: { swallows: StatementFault[]; drops: StatementFault[] },
    bites: Bites,
    link: Link,
  ) {
    this.#faults = faults
    this.#bites = bites
    this.#link = link
  }

  fromClient(bytes: Buffer): void {
    if (this.#encrypted) {
      this.#link.toServer(bytes)
      return
    }
    const passed: Buffer[] = []
    for (const message of this.#fromClient.push(bytes)) {
      if (this.#starting) this.#noteStartup(message)
      else if (this.#isDropped(message)) {
        this.#link.reset()
        return
      }
      passed.push(message)
    }
    if (passed.length > 0) this.#link.toServer(Buffer.concat(passed))
  }

  fromServer(bytes: Buffer): void {
    if (this.#encrypted) {
      this.#link.toClient(bytes)
      return
    }
    if (this.#encryptionAsked) {
      this.#encryptionAsked = false
      this.#encrypted = bytes[0] !== 'N'.charCodeAt(0)
      this.#link.toClient(bytes.subarray(0, 1))
      if (bytes.length > 1) this.fromServer(bytes.subarray(1))
      return
    }
    const passed: Buffer[] = []
    for (const message of this.#fromServer.push(bytes)) {
      const [unit] = this.#units
      const last = typeOf(message) === 'Z'
      if (last) this.#units.shift()
      if (!unit?.swallow) passed.push(message)
      else if (last) {
        unit.swallow.bite()
        this.#bites.swallow++
        // The statements before it have their answers.
        this.#link.toClient(Buffer.concat(passed))
        this.#link.reset()
        return
      }
    }
    if (passed.length > 0) this.#link.toClient(Buffer.concat(passed))
  }

  closed(): void {
    for (const { swallow } of this.#units) swallow?.giveBack()
    this.#units.length = 0
  }

  #noteStartup(message: Buffer): void {
    const kind = startupKind(message)
    this.#encryptionAsked = kind === 'encryption'
    this.#starting = kind !== 'startup'
    if (!this.#starting) this.#fromClient = typedMessages()
  }

  #isDropped(message: Buffer): boolean {
    const sql = this.#note(message)
    if (sql === undefined) return false
    const drop = taken(this.#faults.drops, sql)
    if (drop) {
      drop.bite()
      this.#bites.drop++
      return true
    }
    const unit = this.#units.at(-1)
    if (unit && !unit.swallow) unit.swallow = taken(this.#faults.swallows, sql)
    return false
  }

  /** The statement's text, when this message makes the server carry one out. */
  #note(message: Buffer): string | undefined {
    switch (typeOf(message)) {
      case 'Q':
        this.#units.push({ swallow: undefined, extended: false, open: false })
        return textsOf(message, 1)[0]
      case 'F':
        this.#units.push({ swallow: undefined, extended: false, open: false })
        return undefined
      case 'P': {
        this.#extend()
        const [name = '', sql = ''] = textsOf(message, 2)
        this.#statements.set(name, sql)
        return undefined
      }
      case 'B': {
        this.#extend()
        const [portal = '', statement = ''] = textsOf(message, 2)
        this.#portals.set(portal, this.#statements.get(statement) ?? '')
        return undefined
      }
      case 'E':
        this.#extend()
        return this.#portals.get(textsOf(message, 1)[0] ?? '')
      case 'D':
      case 'C':
      case 'H':
        this.#extend()
        return undefined
      case 'S':
        this.#extend().open = false
        return undefined
      case 'c':
      case 'f': {
        // Since COPY took the connection over, the server has ignored a Sync: the next one ends the unit.
        const last = this.#units.at(-1)
        if (last?.extended) last.open = true
        return undefined
      }
      default:
        return undefined
    }
  }

  /** The unit that extended messages now belong to. */
  #extend(): Unit {
    const last = this.#units.at(-1)
    if (last?.open) return last
    const unit = { swallow: undefined, extended: true, open: true }
    this.#units.push(unit)
    return unit
  }
}

function taken(faults: readonly StatementFault[], sql: string): Plan | undefined {
  return faults.find(fault => fault.sql.test(sql) && fault.plan.take())?.plan
}
