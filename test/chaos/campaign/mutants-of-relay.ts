import type { ListedMutant } from './mutant-list.ts'

const SETTLING = 'src/relay/settling.ts'

/** What the relay makes of outcomes, and how it ends. */
export const mutantsOfRelay: readonly ListedMutant[] = [
  {
    name: 'an event past its time is published',
    scenario: 'calm',
    file: 'src/relay/refusal.ts',
    find: 'if (event.expired) return',
    replace: "if (event.expired && event.id === '') return",
  },
  {
    name: 'the first event of each batch is not confirmed',
    scenario: 'calm',
    file: SETTLING,
    find: 'adapter.confirm(reservation, published)',
    replace: 'adapter.confirm(reservation, published.slice(1))',
  },
  {
    name: 'refusals are not recorded',
    scenario: 'calm',
    file: SETTLING,
    find: 'adapter.confirmFailed(reservation, failures)',
    replace: 'adapter.confirmFailed(reservation, failures.slice(0, 0))',
  },
  {
    name: 'an unknown outcome counts as acknowledged',
    scenario: 'kafka',
    file: SETTLING,
    find: "if (outcome.kind === 'acked') published.push({ event, ...outcome })",
    replace:
      "if (outcome.kind !== 'rejected') published.push({ event, partition: 0, offset: '0', ...outcome })",
  },
  {
    name: 'an unknown outcome spends an attempt',
    scenario: 'outage',
    file: SETTLING,
    find: "if (outcome.kind === 'rejected') failures.push(failureOf(event, outcome, policy))",
    replace:
      "if (outcome.kind !== 'acked') failures.push(failureOf(event, { ...outcome, kind: 'rejected', permanent: false }, policy))",
  },
  {
    name: 'an event is confirmed before its answer has come',
    scenario: 'kafka',
    file: 'src/relay/publishing.ts',
    find: 'return await producer.publish(events, untilMs)',
    replace:
      "return await Promise.race([producer.publish(events, untilMs), new Promise<Outcome[]>(settle => setTimeout(() => settle(events.map(() => ({ kind: 'acked', partition: 0, offset: '0' }))), 150))])",
  },
  {
    name: 'every refusal is final',
    scenario: 'refusals',
    file: 'src/relay/retry-policy.ts',
    find: 'if (permanent || attempt >=',
    replace: 'if (permanent || attempt > 0 || attempt >=',
  },
  {
    name: 'an open breaker stays open',
    scenario: 'outage',
    file: 'src/internal/destination-breaker.ts',
    find: 'resetTimeout: this.#resetMs',
    replace: 'resetTimeout: 1_000_000 + this.#resetMs',
  },
  {
    name: 'the canary of a breaker never comes back',
    scenario: 'outage',
    file: 'src/relay/breakers.ts',
    find: 'this.#breakers.get(name)?.probeEnded()',
    replace: 'this.#breakers.get(name)',
  },
  {
    name: 'a stop does not wait for what is in flight',
    scenario: 'stops',
    file: 'src/relay/relay.ts',
    find: 'const ended = this.#supervisor.ended().then(() => true)',
    replace: 'const ended = Promise.resolve(true)',
  },
]
