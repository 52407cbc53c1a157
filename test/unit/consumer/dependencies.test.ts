import assert from 'node:assert/strict'
import { mock, type TestContext, test } from 'node:test'
import type { ConsumerEvent } from '../../../src/consumer/consumer-events.ts'
import { Dependencies, type DependencyOptions } from '../../../src/consumer/dependencies.ts'
import { BadMessage, DependencyDown } from '../../../src/consumer/outcome.ts'
import { SluiceError } from '../../../src/errors.ts'
import { cleanup } from '../../support/cleanup.ts'

const RESET_MS = 1_000
const never = new AbortController().signal
const refused = async () => {
  throw new Error('connection refused')
}

function setup(t: TestContext, options?: DependencyOptions) {
  mock.timers.enable({ apis: ['setTimeout', 'setInterval', 'Date'] })
  const events: ConsumerEvent[] = []
  const lines: string[] = []
  const say = (facts: object, message: string) => {
    lines.push(`${message} ${JSON.stringify(facts)}`)
  }
  const log = { debug: say, info: say, warn: say, error: say }
  const dependencies = new Dependencies({ emit: event => events.push(event), log })
  if (options) dependencies.register('bank', options)
  cleanup(t, async () => {
    await dependencies.stop()
    mock.timers.reset()
  })
  const states = () =>
    events.map(event => (event.kind === 'dependency_changed' ? event.state : event.kind))
  return { dependencies, events, lines, states, admits: () => dependencies.admits(['bank']) }
}

/** Lets what is due run, with what follows from it. */
async function pass(durationMs: number): Promise<void> {
  mock.timers.tick(durationMs)
  await settled()
}

const settled = () => new Promise(setImmediate)

test('three failed calls in a row open the breaker, and a call is then refused without being made', async t => {
  const { dependencies, admits, states } = setup(t, {})
  for (let n = 1; n <= 3; n++) {
    assert.equal(admits(), 'all')
    const failed = await dependencies.call('bank', refused, never).catch(error => error)
    assert.ok(failed instanceof DependencyDown)
    assert.equal((failed.cause as Error).message, 'connection refused')
  }
  assert.equal(admits(), 'none')
  assert.deepEqual(states(), ['open'])
  let calls = 0
  const work = async () => calls++
  await assert.rejects(dependencies.call('bank', work, never), DependencyDown)
  assert.equal(calls, 0)
})

test('a call that succeeds begins the count of failures anew', async t => {
  const { dependencies, admits } = setup(t, {})
  for (const work of [refused, refused, async () => {}, refused, refused]) {
    await dependencies.call<void>('bank', work, never).catch(() => {})
  }
  assert.equal(admits(), 'all')
})

test('an error that is not the dependency’s fault passes through unchanged and counts as an answer', async t => {
  const isFault = (error: unknown) => !(error instanceof RangeError)
  const { dependencies, admits } = setup(t, { isFault, failures: 2 })
  const mistake = new RangeError('no such account')
  const wrong = async () => {
    throw mistake
  }
  for (const work of [refused, wrong, refused, wrong]) {
    const error = await dependencies.call('bank', work, never).catch(thrown => thrown)
    if (work === wrong) assert.equal(error, mistake)
  }
  assert.equal(admits(), 'all')
})

test('a message that is bad is not the dependency’s fault by default', async t => {
  const { dependencies, admits } = setup(t, { failures: 1 })
  const work = async () => {
    throw new BadMessage('no such account')
  }
  await assert.rejects(dependencies.call('bank', work, never), BadMessage)
  assert.equal(admits(), 'all')
})

test('what a message finds down is open at once, and a message may try when the reset time is over', async t => {
  const { dependencies, admits, states } = setup(t, { resetMs: RESET_MS })
  dependencies.failed('bank', 'it said so')
  assert.equal(admits(), 'none')
  await pass(RESET_MS)
  assert.equal(admits(), 'one')
  dependencies.succeeded(['bank'])
  assert.equal(admits(), 'all')
  assert.deepEqual(states(), ['open', 'half_open', 'closed'])
})

test('a message whose call has failed does not count the failure again', async t => {
  const { dependencies, admits } = setup(t, {})
  for (let n = 1; n <= 3; n++) {
    assert.equal(admits(), 'all')
    await dependencies.call('bank', refused, never).catch(() => {})
    dependencies.failed('bank', 'connection refused')
  }
  assert.equal(admits(), 'none')
})

test('failed calls that their handlers live with hide what other messages find down for two of them at most', async t => {
  const { dependencies, admits } = setup(t, {})
  for (const work of [refused, async () => {}, refused, async () => {}, refused, async () => {}]) {
    await dependencies.call<void>('bank', work, never).catch(() => {})
  }
  dependencies.failed('bank', 'down')
  dependencies.failed('bank', 'down')
  assert.equal(admits(), 'all')
  dependencies.failed('bank', 'down')
  assert.equal(admits(), 'none')
})

test('once it was open and is closed again, what a message finds down opens it at once', async t => {
  const { dependencies, admits } = setup(t, { resetMs: RESET_MS })
  for (let n = 1; n <= 3; n++) await dependencies.call('bank', refused, never).catch(() => {})
  await pass(RESET_MS)
  dependencies.succeeded(['bank'])
  assert.equal(admits(), 'all')
  dependencies.failed('bank', 'down')
  assert.equal(admits(), 'none')
})

test('while one call tries a half-open dependency others are refused, and its success admits all', async t => {
  const { dependencies, admits } = setup(t, { resetMs: RESET_MS })
  dependencies.failed('bank', 'down')
  await pass(RESET_MS)
  let answer = () => {}
  const slow = () =>
    new Promise<void>(settle => {
      answer = settle
    })
  const trying = dependencies.call('bank', slow, never)
  await assert.rejects(
    dependencies.call('bank', async () => {}, never),
    DependencyDown,
  )
  dependencies.succeeded(['bank'])
  assert.equal(admits(), 'one')
  answer()
  await trying
  assert.equal(admits(), 'all')
})

test('a call that is too slow is a failure, its signal is aborted, and its late result changes nothing', async t => {
  const { dependencies, admits } = setup(t, { callTimeoutMs: 50, failures: 1, resetMs: RESET_MS })
  let answer = () => {}
  let own: AbortSignal | undefined
  const work = (signal: AbortSignal) => {
    own = signal
    return new Promise<void>(settle => {
      answer = settle
    })
  }
  const called = dependencies.call('bank', work, never)
  const rejected = assert.rejects(called, DependencyDown)
  await pass(50)
  await rejected
  assert.equal(own?.aborted, true)
  answer()
  await settled()
  assert.equal(admits(), 'none')
})

test('a call that is too slow is a failure whatever isFault says', async t => {
  const isFault = () => false
  const { dependencies, admits } = setup(t, { callTimeoutMs: 50, failures: 1, isFault })
  const called = dependencies.call('bank', () => new Promise<void>(() => {}), never)
  const rejected = assert.rejects(called, DependencyDown)
  await pass(50)
  await rejected
  assert.equal(admits(), 'none')
})

test('a call that ends with its handler tells nothing of the dependency', async t => {
  const { dependencies, admits } = setup(t, { failures: 1 })
  const handler = new AbortController()
  const reason = new Error('the partition was given up')
  const called = dependencies.call('bank', () => new Promise<void>(() => {}), handler.signal)
  handler.abort(reason)
  await assert.rejects(called, reason)
  assert.equal(admits(), 'all')
})

test('a success that began before the breaker opened proves nothing', async t => {
  const { dependencies, admits } = setup(t, { resetMs: RESET_MS })
  let answer = () => {}
  const slow = () =>
    new Promise<void>(settle => {
      answer = settle
    })
  const called = dependencies.call('bank', slow, never)
  dependencies.failed('bank', 'down')
  await pass(RESET_MS)
  answer()
  await called
  assert.equal(admits(), 'one')
})

test('with a probe no message tries: the probe runs at each reset time until it succeeds', async t => {
  let probes = 0
  let there = false
  const probe = async () => {
    probes++
    if (!there) throw new Error('still down')
  }
  const { dependencies, admits, events } = setup(t, { probe, resetMs: RESET_MS, resetMaxMs: 4_000 })
  dependencies.failed('bank', 'down')
  for (const resetMs of [RESET_MS, 2_000, 4_000, 4_000]) {
    await pass(resetMs)
    assert.equal(admits(), 'none')
    dependencies.succeeded(['bank'])
    assert.equal(admits(), 'none')
  }
  assert.equal(probes, 4)
  const last = events.at(-1)
  assert.ok(last?.kind === 'dependency_changed' && last.reason === 'still down')
  there = true
  await pass(4_000)
  assert.equal(admits(), 'all')
})

test('the reset time doubles, by a random half at most less', async t => {
  const { dependencies, admits } = setup(t, { resetMs: RESET_MS })
  for (const resetMs of [1_000, 2_000, 4_000]) {
    dependencies.failed('bank', 'down')
    await pass(resetMs / 2 - 1)
    assert.equal(admits(), 'none')
    await pass(resetMs / 2 + 1)
    assert.equal(admits(), 'one')
  }
})

test('a probe that is content while the work goes on failing does not shorten the reset time', async t => {
  const { dependencies, admits } = setup(t, { probe: async () => {}, resetMs: RESET_MS })
  for (const resetMs of [1_000, 2_000, 4_000]) {
    dependencies.failed('bank', 'down')
    await pass(resetMs / 2 - 1)
    assert.equal(admits(), 'none')
    await pass(resetMs / 2 + 1)
    assert.equal(admits(), 'all')
  }
  dependencies.succeeded(['bank'])
  dependencies.failed('bank', 'down')
  await pass(RESET_MS)
  assert.equal(admits(), 'all')
})

test('a probe that hangs is a failed one', async t => {
  const probe = () => new Promise<void>(() => {})
  const options = { probe, resetMs: RESET_MS, callTimeoutMs: 50 }
  const { dependencies, states, admits } = setup(t, options)
  dependencies.failed('bank', 'down')
  await pass(RESET_MS)
  assert.deepEqual(states(), ['open', 'half_open'])
  assert.equal(admits(), 'none')
  await pass(50)
  assert.deepEqual(states(), ['open', 'half_open', 'open'])
})

test('of several dependencies the worst decides', async t => {
  const { dependencies } = setup(t, { resetMs: RESET_MS })
  dependencies.register('post', {})
  assert.equal(dependencies.admits([]), 'all')
  dependencies.failed('bank', 'down')
  assert.equal(dependencies.admits(['post', 'bank']), 'none')
  assert.equal(dependencies.admits(['post']), 'all')
  await pass(RESET_MS)
  assert.equal(dependencies.admits(['bank', 'post']), 'one')
})

test('a dependency that was never registered gets the defaults, and the log says so once', t => {
  const { dependencies, lines } = setup(t)
  assert.equal(dependencies.admits(['post']), 'all')
  dependencies.failed('post', 'down')
  assert.equal(dependencies.admits(['post']), 'none')
  assert.deepEqual(lines, ['dependency is not registered; defaults are used {"dependency":"post"}'])
  assert.throws(() => dependencies.register('post', {}), /because it was used/)
})

test('listeners are told of changes until they are taken off', async t => {
  const { dependencies } = setup(t, { resetMs: RESET_MS })
  let told = 0
  const off = dependencies.onChange(() => told++)
  dependencies.failed('bank', 'down')
  dependencies.failed('bank', 'down')
  assert.equal(told, 1)
  off()
  await pass(RESET_MS)
  assert.equal(told, 1)
})

test('options that make no sense are refused', t => {
  const { dependencies } = setup(t)
  for (const options of [{ resetMs: 0 }, { failures: 1.5 }, { resetMs: 2, resetMaxMs: 1 }]) {
    assert.throws(() => dependencies.register('bank', options), SluiceError)
  }
})

test('after stop nothing runs any more, and a probe that is on its way is not waited for', async t => {
  let own: AbortSignal | undefined
  const probe = (signal: AbortSignal) => {
    own = signal
    return new Promise<void>(() => {})
  }
  const { dependencies, admits, states } = setup(t, { probe, resetMs: RESET_MS })
  dependencies.failed('bank', 'down')
  await pass(RESET_MS)
  await dependencies.stop()
  await dependencies.stop()
  assert.equal(own?.aborted, true)
  await pass(100_000)
  assert.deepEqual(states(), ['open', 'half_open'])
  assert.equal(admits(), 'none')
  await assert.rejects(
    dependencies.call('bank', async () => {}, never),
    SluiceError,
  )
})

test('after stop an open breaker stays open, and its timer is gone', async t => {
  const { dependencies, states } = setup(t, { resetMs: RESET_MS })
  dependencies.failed('bank', 'down')
  await dependencies.stop()
  await pass(100_000)
  assert.deepEqual(states(), ['open'])
})

test('a call that fails after stop opens nothing', async t => {
  const { dependencies, states } = setup(t, { failures: 1 })
  let fail = () => {}
  const work = () =>
    new Promise<void>((_, reject) => {
      fail = () => reject(new Error('connection lost'))
    })
  const called = dependencies.call('bank', work, never)
  await dependencies.stop()
  fail()
  await assert.rejects(called, DependencyDown)
  assert.deepEqual(states(), [])
})

test('a pause of hours leaves nothing behind', async t => {
  const { dependencies, admits, states } = setup(t, { probe: refused, resetMs: RESET_MS })
  dependencies.failed('bank', 'down')
  for (let minute = 0; minute < 6 * 60; minute++) await pass(60_000)
  assert.equal(admits(), 'none')
  // At most one probe in half of resetMaxMs.
  assert.ok(states().length < 2 * 2 * 6 * 60 + 20, `${states().length} changes`)
})
