import assert from 'node:assert/strict'
import { mock, test } from 'node:test'
import fc from 'fast-check'
import { Dependencies } from '../../src/consumer/dependencies.ts'
import { DependencyDown } from '../../src/consumer/outcome.ts'

const NAMES = ['probed', 'plain', 'post'] as const
type Name = (typeof NAMES)[number]
const RESET_MS = 1_000
const silent = { debug() {}, info() {}, warn() {}, error() {} }

type Step =
  | { readonly kind: 'turn'; readonly name: Name; readonly there: boolean }
  | { readonly kind: 'begin' | 'find_down' | 'handle'; readonly name: Name }
  | { readonly kind: 'answer'; readonly nth: number }
  | { readonly kind: 'pass'; readonly durationMs: number }

const name = fc.constantFrom(...NAMES)
const steps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    fc.record({ kind: fc.constant('turn' as const), name, there: fc.boolean() }),
    fc.record({ kind: fc.constantFrom('begin' as const, 'find_down', 'handle'), name }),
    fc.record({ kind: fc.constant('answer' as const), nth: fc.nat(3) }),
    fc.record({ kind: fc.constant('pass' as const), durationMs: fc.integer({ min: 1, max: 900 }) }),
  ),
  { minLength: 10, maxLength: 60, size: 'max' },
)

/** When a message found it down that is still so. */
interface Model {
  shutAtMs: number | null
}

async function follow(plan: readonly Step[]): Promise<void> {
  const there = new Map<Name, boolean>(NAMES.map(each => [each, true]))
  const models = new Map<Name, Model>(NAMES.map(each => [each, { shutAtMs: null }]))
  const dependencies = new Dependencies({ emit: () => {}, log: silent })
  const probe = async () => {
    if (!there.get('probed')) throw new Error('down')
  }
  dependencies.register('probed', { probe, resetMs: RESET_MS, callTimeoutMs: 100_000 })
  dependencies.register('plain', { resetMs: RESET_MS, callTimeoutMs: 100_000 })
  dependencies.register('post', { resetMs: RESET_MS, callTimeoutMs: 100_000 })
  const open: { name: Name; answer: () => void; ended: Promise<unknown> }[] = []
  const { signal } = new AbortController()
  let nowMs = 0
  for (const step of plan) {
    if (step.kind === 'turn') there.set(step.name, step.there)
    else if (step.kind === 'pass') {
      nowMs += step.durationMs
      mock.timers.tick(step.durationMs)
    } else if (step.kind === 'begin') {
      const { name } = step
      const shut = dependencies.admits([name]) === 'none'
      let called = false
      let answer = () => {}
      const work = () => {
        called = true
        return new Promise<void>((settle, reject) => {
          answer = () => (there.get(name) ? settle() : reject(new Error('down')))
        })
      }
      const ended = dependencies.call(name, work, signal).catch(error => {
        assert.ok(error instanceof DependencyDown)
      })
      assert.ok(!(shut && called), `${name} was called while it was shut`)
      if (called) open.push({ name, answer: () => answer(), ended })
    } else if (step.kind === 'answer') {
      const [call] = open.splice(step.nth, 1)
      call?.answer()
      await call?.ended
    } else if (step.kind === 'find_down') {
      const open = dependencies.admits([step.name]) === 'none'
      // Those of calls that failed and were not told are two at most.
      for (let n = 1; n <= 3; n++) dependencies.failed(step.name, 'down')
      if (!open) models.get(step.name)!.shutAtMs = nowMs
    } else dependencies.succeeded([step.name])
    await new Promise(setImmediate)
    check(dependencies, models, nowMs)
  }
  await dependencies.stop()
}

function check(dependencies: Dependencies, models: Map<Name, Model>, nowMs: number): void {
  for (const [name, model] of models) {
    const { state } = dependencies.statuses().find(status => status.name === name)!
    // The shortest reset time is half of the longest.
    const soonest = (model.shutAtMs ?? 0) + RESET_MS / 2
    if (model.shutAtMs !== null && nowMs < soonest) assert.equal(state, 'open', name)
    if (state !== 'open') model.shutAtMs = null
  }
  for (let mask = 0; mask < 2 ** NAMES.length; mask++) {
    const names = NAMES.filter((_, bit) => mask & (1 << bit))
    const states = names.map(
      each => dependencies.statuses().find(status => status.name === each)!.state,
    )
    const admits = dependencies.admits(names)
    if (states.includes('open')) assert.equal(admits, 'none')
    if (states.some(state => state !== 'closed')) assert.notEqual(admits, 'all')
    else assert.equal(admits, 'all')
  }
}

test('nothing that needs a dependency is admitted freely while one is open, whatever else is under way', async () => {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] })
  try {
    await fc.assert(fc.asyncProperty(steps, follow), { numRuns: 200 })
  } finally {
    mock.timers.reset()
  }
})
