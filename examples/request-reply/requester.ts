// KAFKA_BROKERS=… node --import tsx examples/request-reply/requester.ts requester-1
import { Correspondent, RequestFailed } from '../../src/pubsub/index.ts' // 'sluice-outbox/pubsub' in your project
import { heard, name, tell } from './role.ts'
import { settings } from './settings.ts'
import { type Question, type Sum, sums } from './sum.ts'

const QUESTIONS = 6
const TIMEOUT_MS = 10_000

await using correspondent = Correspondent.create<Question, Sum>(settings, { codec: sums })
await correspondent.connect()
tell('ready')
await heard()

// All at once: they spread over the workers.
await Promise.all(
  Array.from({ length: QUESTIONS }, async (_, n) => {
    const { sum, by } = await correspondent.ask(
      { a: n, b: 10 * n },
      { type: 'Sum', timeoutMs: TIMEOUT_MS },
    )
    process.stdout.write(`${name}: ${n} + ${10 * n} = ${sum}, says ${by}\n`)
  }),
)
try {
  const nonsense = { a: 'one', b: 'two' } as unknown as Question
  await correspondent.ask(nonsense, { type: 'Sum', timeoutMs: TIMEOUT_MS })
} catch (error) {
  if (!(error instanceof RequestFailed)) throw error
  process.stdout.write(`${name}: refused with ${error.failure.code}: ${error.failure.message}\n`)
}

tell('done')
await heard()
process.disconnect?.()
