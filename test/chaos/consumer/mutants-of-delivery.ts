import type { ConsumerMutant } from './mutant-list.ts'

const STORE = 'src/waiting-room/postgres-delivery-store.ts'
const STATEMENTS = 'src/waiting-room/delivery-statements.ts'
const PATH = 'src/consumer/record-path.ts'

/** The way of a record from its partition to its end. */
export const mutantsOfDelivery: readonly ConsumerMutant[] = [
  {
    name: 'what the inbox knows is handled again',
    scenario: 'calm',
    file: STORE,
    find: "if (remember && !fresh.delete(message_id)) return 'duplicate'",
    replace: 'fresh.delete(message_id)',
  },
  {
    name: 'a record that is parked is not claimed in the inbox',
    scenario: 'calm',
    file: STORE,
    find: 'const claimed = await claimInbox(tx, this.#group, [inboxRowOf(delivery)])',
    replace: 'const claimed = [inboxRowOf(delivery)]',
  },
  {
    name: 'a record does not wait behind those of its key',
    scenario: 'calm',
    file: STORE,
    find: "if (state?.waiting) return 'behind'",
    replace: "if (state?.waiting) return 'free'",
  },
  {
    name: 'dead letters are not published',
    scenario: 'calm',
    file: STORE,
    find: "if (parking.kind === 'dead' && parking.deadLetterTopic !== null) {",
    replace: "if (parking.kind === 'dead' && parking.deadLetterTopic === '') {",
  },
  {
    name: 'who comes behind does not lock the key',
    scenario: 'crowded',
    file: STATEMENTS,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a text of the sources
    find: "decode(${key}::text, 'hex')\n    for update of k`",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a text of the sources
    replace: "decode(${key}::text, 'hex')`",
  },
  {
    name: 'a delay is not looked at',
    scenario: 'calm',
    file: PATH,
    find: 'if (waitMs > 0) return await this.#delay(reading, work)',
    replace: 'if (waitMs > 1e15) return await this.#delay(reading, work)',
  },
  {
    name: 'what has expired is handled',
    scenario: 'calm',
    file: PATH,
    find: 'return expiresAt !== null && expiresAt.getTime() <= Date.now()',
    replace: 'return expiresAt !== null && expiresAt.getTime() < 0',
  },
  {
    name: 'a record that met a dependency that was down counts as finished',
    scenario: 'dependency',
    file: PATH,
    find: "if (outcome.kind === 'down') return 'again'",
    replace: "if (outcome.kind === 'down') return 'finished'",
  },
  {
    name: 'what a handler returns but done and hold is looked at, hold is not',
    scenario: 'calm',
    file: 'src/consumer/handling.ts',
    find: "if (known.kind !== 'done') throw new NotDone(known)",
    replace: "if (known.kind !== 'done' && known.kind !== 'hold') throw new NotDone(known)",
  },
  {
    name: 'records of a key are handled at the same time',
    scenario: 'calm',
    file: 'src/consumer/key-order.ts',
    find: "return order === 'key' && hasOrder(record) ? (record.key as Buffer).toString('latin1') : null",
    replace: 'return null',
  },
  {
    name: 'the watermark passes what is not finished',
    scenario: 'calm',
    file: 'src/consumer/watermark.ts',
    find: 'while (mark?.finished) {',
    replace: 'while (mark !== undefined) {',
  },
  {
    name: 'offsets are committed before the transaction',
    scenario: 'deaths',
    file: 'src/consumer/partition-work.ts',
    find: 'const mark = this.#watermark.add(record.offset)',
    replace: 'const mark = Object.assign(this.#watermark.add(record.offset), { finished: true })',
  },
  {
    name: 'a commit in doubt counts as done',
    scenario: 'database',
    file: 'src/postgres/transaction.ts',
    find: 'throw commitFailure(cause)',
    replace: 'return void commitFailure(cause)',
  },
  {
    name: 'what failed is committed',
    scenario: 'calm',
    file: 'src/postgres/transaction.ts',
    find: 'await this.#rollback()',
    replace: "await this.#connection.run('commit').catch(() => {})",
  },
  {
    name: 'the halves of a batch that failed are not tried',
    scenario: 'batches',
    file: 'src/consumer/batch-path.ts',
    find: 'else pile.push(part.slice(part.length >> 1), part.slice(0, part.length >> 1))',
    replace: 'else finish(part.map(({ queued }) => queued))',
  },
]
