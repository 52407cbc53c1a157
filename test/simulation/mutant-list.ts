/** One wrong turn in the core. */
export interface Mutant {
  readonly name: string
  readonly file: string
  /** Occurs once in the file. */
  readonly find: string
  readonly replace: string
}

const LEASES = 'src/outbox/lane-leases.ts'
const STARTS = 'src/outbox/lane-starts.ts'
const LOW_WATER = 'src/outbox/low-water.ts'
const ADAPTER = 'src/outbox/leased-adapter.ts'
const BREAKERS = 'src/relay/breakers.ts'
const SETTLING = 'src/relay/settling.ts'

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'trust is anchored at the end of a renewal',
    file: LEASES,
    find: 'const trustedUntilMs = trustedUntil(startedMs, leaseMs)\n      const held',
    replace: 'const trustedUntilMs = trustedUntil(monotonicMs(), leaseMs)\n      const held',
  },
  {
    name: 'trust outlasts the lease',
    file: LEASES,
    find: 'return startedMs + leaseMs - Math.max(50, leaseMs / 20)',
    replace: 'return startedMs + leaseMs * 1.5',
  },
  {
    name: 'trust does not bound sending',
    file: 'src/relay/publishing.ts',
    find: 'Math.min(monotonicMs() + publishTimeoutMs, trustedUntilMs)',
    replace: 'monotonicMs() + publishTimeoutMs',
  },
  {
    name: 'reserved lanes are taken again',
    file: LEASES,
    find: '.filter(lane => !lane.reserved)',
    replace: '',
  },
  {
    name: 'a stale release frees a lane that was leased anew',
    file: LEASES,
    find: 'if (held?.epoch === epoch) held.reserved = false',
    replace: 'if (held) held.reserved = false',
  },
  {
    name: 'lanes in use are handed over',
    file: LEASES,
    find: 'this.#giveUp(this.#idleLanes().slice(0, -wanted)',
    replace: 'this.#giveUp([...this.#held.values()].slice(0, -wanted)',
  },
  {
    name: 'paused lanes are read',
    file: LEASES,
    find: ' && !this.#pausedLanes.has(lane)',
    replace: '',
  },
  {
    name: 'paused topics are read',
    file: ADAPTER,
    find: ', ...this.#leases.pausedTopics',
    replace: '',
  },
  {
    name: 'a stop keeps the lanes',
    file: ADAPTER,
    find: 'await this.#leases.leave()',
    replace: '',
  },
  {
    name: 'the flush is not waited for',
    file: ADAPTER,
    find: 'if (reading.unflushedUpTo !== null) await this.#events.awaitFlush(reading.unflushedUpTo)',
    replace: '',
  },
  {
    name: 'low water does not wait for writers',
    file: LOW_WATER,
    find: 'return [...writers].every(id => !seen.open.has(id))',
    replace: 'return writers.size >= 0',
  },
  {
    name: 'low water passes ids that are not decided',
    file: LOW_WATER,
    find: 'const id = first < decided + 1n ? first : decided + 1n',
    replace: 'const id = first',
  },
  {
    name: 'a hint moves while keys are held',
    file: STARTS,
    find: 'if (reading.keysHeld) return',
    replace: '',
  },
  {
    name: 'a hint does not fall back when a topic is let go',
    file: STARTS,
    find: 'if (!now.has(topic)) this.#generation++',
    replace: 'now.has(topic)',
  },
  {
    name: 'a hint is the last event that was found',
    file: STARTS,
    find: 'attempts === 0 && !first.has(lane)',
    replace: 'attempts === 0',
  },
  {
    name: 'a hint passes ids that are not decided',
    file: STARTS,
    find: 'BigInt(due) <= decided ? BigInt(due) : decided + 1n',
    replace: 'BigInt(due)',
  },
  {
    name: 'nothing is looked for again from low water',
    file: STARTS,
    find: 'startedMs >= this.#rescanDueMs',
    replace: 'false',
  },
  {
    name: 'a half-open breaker admits from the end',
    file: BREAKERS,
    find: 'return events.filter(({ topic })',
    replace: 'return [...events].reverse().filter(({ topic })',
  },
  {
    name: 'breakers count refusals',
    file: BREAKERS,
    find: "if (outcome.kind !== 'unknown') reached",
    replace:
      "if (outcome.kind === 'rejected') failures.set(ofTopic, { ...outcome, kind: 'unknown', fault: 'broker', scope: 'topic' })\n      else if (outcome.kind === 'acked') reached",
  },
  {
    name: 'a canary is never called back',
    file: 'src/internal/destination-breaker.ts',
    find: 'probeEnded(): void {\n    this.#probing = false',
    replace: 'probeEnded(): void {',
  },
  {
    name: 'a breaker stays open',
    file: 'src/internal/destination-breaker.ts',
    find: 'resetTimeout: this.#resetMs',
    replace: 'resetTimeout: 1e9',
  },
  {
    name: 'lanes are released before they are settled',
    file: 'src/relay/slot.ts',
    find: 'await this.#work.settle(',
    replace: 'this.#work.release(reservation)\n        await this.#work.settle(',
  },
  {
    name: 'unknown is confirmed',
    file: SETTLING,
    find: "if (outcome.kind === 'acked')",
    replace: "if (outcome.kind !== 'rejected')",
  },
  {
    name: 'unknown spends an attempt',
    file: SETTLING,
    find: "if (outcome.kind === 'rejected')",
    replace: "if (outcome.kind !== 'acked')",
  },
  {
    name: 'a confirm is tried once',
    file: SETTLING,
    find: 'if (abandon.aborted) return null',
    replace: 'return null',
  },
  {
    name: 'the last attempt is not granted',
    file: 'src/relay/retry-policy.ts',
    find: 'attempt >= policy.attemptsMax',
    replace: 'attempt >= policy.attemptsMax - 1',
  },
]
