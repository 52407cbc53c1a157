import { seededRandom } from '../../../src/demo/random.ts'
import { describeError } from '../../../src/errors.ts'
import { pause } from '../../../src/internal/pause.ts'
import type { Battlefield, Draw, FaultKind, Strike } from './fault-kind.ts'
import { faultsOfKafka } from './faults-of-kafka.ts'
import { faultsOfPostgres } from './faults-of-postgres.ts'
import { faultsOfReplicas } from './faults-of-replicas.ts'
import type { HistoryFile } from './history.ts'

export const faultKinds: ReadonlyMap<string, FaultKind> = new Map(
  [...faultsOfReplicas, ...faultsOfKafka, ...faultsOfPostgres].map(kind => [kind.name, kind]),
)

export interface PlannedFault<F = Battlefield> {
  readonly kind: FaultKind<F>
  /** After the campaign's start. */
  readonly atMs: number
  readonly durationMs: number
  readonly draw: Draw
}

export interface NemesisOptions {
  readonly kinds: readonly string[]
  readonly seed: number
  readonly durationMs: number
  readonly leaseMs: number
  /** Mean time between the starts of two faults. */
  readonly everyMs: number
}

/** Faults at once, at most. */
const TOGETHER_MAX = 3

/** Which faults come when; it follows from the options alone. */
export function planFaults(options: NemesisOptions): PlannedFault[] {
  return planFaultsOf(faultKinds, options)
}

/** As `planFaults`, of other kinds. */
export function planFaultsOf<F>(
  known: ReadonlyMap<string, FaultKind<F>>,
  options: NemesisOptions,
): PlannedFault<F>[] {
  const { kinds, seed, durationMs, leaseMs, everyMs } = options
  const random = seededRandom(seed)
  const chosen = kinds.map(name => {
    const kind = known.get(name)
    if (!kind)
      throw new Error(`there is no fault ${name}; there are ${[...known.keys()].join(', ')}`)
    return kind
  })
  const planned: PlannedFault<F>[] = []
  // Each kind comes once before any comes twice, in an order of the seed's.
  let bag: FaultKind<F>[] = []
  for (let atMs = everyMs * 0.5; atMs < durationMs && chosen.length > 0; ) {
    if (bag.length === 0) bag = shuffled(chosen, random)
    const kind = bag.pop() as FaultKind<F>
    const [shortest, longest] = kind.leases
    const lasts = leaseMs * (shortest + random() * (longest - shortest))
    const draw = { which: Math.floor(random() * 1_000), chance: random() }
    planned.push({ kind, atMs, durationMs: lasts, draw })
    atMs += everyMs * (0.2 + random() * 1.6)
  }
  return planned
}

/** Strikes as planned, several faults at a time, and heals all before it ends. */
export class Nemesis<F = Battlefield> {
  readonly #field: F
  readonly #history: Pick<HistoryFile, 'tell'>
  readonly #busy = new Set<string>()
  readonly #stop = new AbortController()
  readonly #striking = new Set<Promise<void>>()
  #ids = 0

  constructor(field: F, history: Pick<HistoryFile, 'tell'>) {
    this.#field = field
    this.#history = history
  }

  /** @throws what a strike or a healing failed of, once everything else has healed */
  async run(plan: readonly PlannedFault<F>[]): Promise<void> {
    const startedMs = performance.now()
    const failures: unknown[] = []
    for (const fault of plan) {
      await pause(startedMs + fault.atMs - performance.now(), this.#stop.signal)
      if (this.#stop.signal.aborted) break
      const resource = fault.kind.resource(fault.draw)
      if (this.#busy.has(resource) || this.#busy.size >= TOGETHER_MAX) continue
      this.#busy.add(resource)
      const striking = this.#strike(fault)
        .catch(error => {
          failures.push(error)
        })
        .finally(() => {
          this.#busy.delete(resource)
          this.#striking.delete(striking)
        })
      this.#striking.add(striking)
    }
    await Promise.all(this.#striking)
    if (failures.length > 0)
      throw new AggregateError(failures, failures.map(describeError).join('; '))
  }

  /** No new faults; those that are on are healed. */
  stop(): void {
    this.#stop.abort()
  }

  async #strike({ kind, durationMs, draw }: PlannedFault<F>): Promise<void> {
    const id = ++this.#ids
    const fault = kind.name
    // The time before the blow: its effects begin at once.
    const atMs = Date.now()
    const strike = await this.#try(kind, draw)
    if (strike === null) return
    this.#history.tell({ kind: 'fault_started', atMs, id, fault, target: strike.target })
    await pause(durationMs, this.#stop.signal)
    await strike.heal()
    this.#history.tell({ kind: 'fault_healed', atMs: Date.now(), id, fault })
  }

  async #try(kind: FaultKind<F>, draw: Draw): Promise<Strike | null> {
    try {
      return await kind.strike(this.#field, draw)
    } catch (error) {
      // Another fault may be in its way, such as a database that is down. It may have had effects all the same.
      const text = `${kind.name} failed: ${describeError(error)}`
      this.#history.tell({ kind: 'note', atMs: Date.now(), text })
      return { target: 'attempted', heal: async () => {} }
    }
  }
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items
    .map(item => ({ item, at: random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}
