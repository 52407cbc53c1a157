import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import type { HoldTarget } from '../../../src/consumer/bus.ts'
import { KafkaSubscription } from '../../../src/consumer/subscription.ts'
import { SluiceError } from '../../../src/errors.ts'
import { EngineRig, Latch, type RigOptions } from '../../support/engine-rig.ts'
import { recordOf } from '../../support/in-memory-source.ts'
import { until } from '../../support/until.ts'

function rigOf(t: TestContext, options: RigOptions = {}) {
  const rig = new EngineRig(t, options)
  const steps: string[] = []
  const scheduler = {
    startError: null as Error | null,
    stopError: null as Error | null,
    async start() {
      steps.push('scheduler started')
      if (this.startError) throw this.startError
    },
    stopping: async () => {},
    async stop(timeoutMs: number) {
      steps.push(`scheduler stopped within ${timeoutMs}`)
      await this.stopping()
      if (this.stopError) throw this.stopError
    },
    wake() {},
  }
  const controls = {
    pause: async (target: HoldTarget, { reason }: { reason: string }) =>
      void steps.push(`pause ${JSON.stringify(target)} ${reason}`),
    resume: async () => void steps.push('resume'),
    replay: async () => ({ matched: 2, enqueued: 0 }),
  }
  const parts = {
    group: 'billing',
    source: rig.source,
    engine: rig.engine,
    scheduler,
    controls,
    close: async () => void steps.push('closed'),
  }
  return { rig, steps, scheduler, start: () => KafkaSubscription.start(parts) }
}

test('its state is that of its member', async t => {
  const { rig, start } = rigOf(t)
  const subscription = await start()
  assert.equal(subscription.state, 'joining')
  await rig.source.join()
  assert.equal(subscription.state, 'running')
  rig.gate.set('none')
  assert.equal(subscription.state, 'paused')
  rig.gate.set('all')
  await rig.source.lose()
  assert.equal(subscription.state, 'crashed')
  await rig.source.join()
  assert.equal(subscription.state, 'running')
  await subscription.stop()
  assert.equal(subscription.state, 'stopped')
  await subscription.completed
})

test('stopping lets what is in work end, begins nothing else, and closes at last', async t => {
  const latch = new Latch()
  const { rig, steps, start } = rigOf(t, {
    subscribe: { concurrency: 1 },
    handler: async () => await latch.opened,
  })
  const subscription = await start()
  await rig.source.join()
  await rig.source.deliver([0, 1, 2].map(offset => recordOf({ offset })))
  await until(() => rig.store.delivered.length === 1, { deadlineMs: 3_000, what: 'the work' })
  const stopped = subscription.stop({ timeoutMs: 5_000 })
  const again = subscription.stop()
  latch.open()
  await Promise.all([stopped, again])
  assert.deepEqual(rig.handled, ['m0-0'])
  assert.equal(rig.committed, 'orders/0@1')
  assert.deepEqual(steps, ['scheduler started', 'scheduler stopped within 5000', 'closed'])
  assert.equal(rig.told('revoked')[0]?.why, 'stop')
})

test('nothing new begins once it is stopping, whatever takes its time', async t => {
  const latch = new Latch()
  const { rig, scheduler, start } = rigOf(t)
  const subscription = await start()
  await rig.source.join()
  // A source that is slow to drain goes on delivering.
  rig.source.stop = async () => await latch.opened
  scheduler.stopping = async () => {
    await rig.source.deliver([recordOf({ offset: 0 })])
    await new Promise(settle => setImmediate(settle))
    latch.open()
  }
  await subscription.stop()
  assert.deepEqual(rig.handled, [])
})

test('a stop whose time is over aborts the handlers', async t => {
  const { rig, start } = rigOf(t, { handler: () => new Promise(() => {}) })
  const subscription = await start()
  await rig.source.join()
  await rig.source.deliver([recordOf({ offset: 0 })])
  await until(() => rig.store.delivered.length === 1, { deadlineMs: 3_000, what: 'the work' })
  await subscription.stop({ timeoutMs: 20 })
  assert.deepEqual(rig.source.commits, [])
  assert.equal(rig.store.inbox.size, 0)
})

test('a start that fails leaves nothing running', async t => {
  const { rig, scheduler, steps, start } = rigOf(t)
  scheduler.startError = new Error('no schema')
  await assert.rejects(start, /no schema/)
  assert.equal(rig.source.stopped, true)
  assert.equal(steps.at(-1), 'closed')
})

test('all is closed although a part fails to stop, and its error is passed on', async t => {
  const { rig, scheduler, steps, start } = rigOf(t)
  const subscription = await start()
  scheduler.stopError = new Error('stuck')
  await assert.rejects(subscription.stop(), /stuck/)
  assert.equal(rig.source.stopped, true)
  assert.equal(steps.at(-1), 'closed')
  assert.equal(subscription.state, 'stopped')
})

test('one that cannot go on is stopped, and its end is an error', async t => {
  const { rig, start } = rigOf(t)
  const subscription = await start()
  await subscription.fail(new Error('the schema is gone'))
  await assert.rejects(subscription.completed, /the schema is gone/)
  assert.equal(rig.source.stopped, true)
})

test("pause, resume and replay are the group's, until it is stopped", async t => {
  const { steps, start } = rigOf(t)
  {
    await using subscription = await start()
    await subscription.pause({ topic: 'orders', partition: 1 }, { reason: 'tax' })
    await subscription.resume({})
    const query = { topic: 'orders', fromOffset: 0n, dryRun: true }
    assert.deepEqual(await subscription.replay(query), { matched: 2, enqueued: 0 })
  }
  assert.deepEqual(steps.slice(1, 3), ['pause {"topic":"orders","partition":1} tax', 'resume'])
  const stopped = await start()
  await stopped.stop()
  await assert.rejects(stopped.resume({}), (error: unknown) => {
    assert.ok(error instanceof SluiceError)
    return error.code === 'lifecycle'
  })
})
