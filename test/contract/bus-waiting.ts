import assert from 'node:assert/strict'
import { HEADERS } from '../../src/consumer/message.ts'
import { type Obligation, rawRecord } from './bus-rig.ts'

const inMs = (ms: number) => new Date(Date.now() + ms).toISOString()

export function waiting(obligation: Obligation): void {
  obligation(
    'a record with a delay is handled at its time, and its key waits for it',
    async rig => {
      await rig.subscribe()
      const dueAtMs = Date.now() + 1_000
      const delay = { [HEADERS.delayUntil]: new Date(dueAtMs).toISOString() }
      await rig.send(rawRecord(rig.topic, 'a:1', delay))
      await rig.send(rawRecord(rig.topic, 'a:2'))
      await rig.send(rawRecord(rig.topic, 'b:1'))
      await rig.handles('b:1', 'a:1', 'a:2')
      assert.ok(Date.now() >= dueAtMs)
    },
  )

  obligation('a record whose order is lifted waits for none, and none for it', async rig => {
    await rig.subscribe()
    const delay = { [HEADERS.delayUntil]: inMs(1_000) }
    const lifted = { [HEADERS.ordered]: 'false' }
    await rig.send(rawRecord(rig.topic, 'a:1', delay))
    await rig.send(rawRecord(rig.topic, 'a:2', lifted))
    await rig.handles('a:2', 'a:1')
  })

  obligation('a record past its time is dropped', async rig => {
    await rig.subscribe()
    await rig.send(rawRecord(rig.topic, 'a:1', { [HEADERS.expiresAt]: inMs(-1_000) }))
    await rig.send(rawRecord(rig.topic, 'a:2', { [HEADERS.expiresAt]: inMs(60_000) }))
    await rig.handles('a:2')
    assert.deepEqual(await rig.deadLetters(rig.group), [])
  })

  obligation('what is meant for another group is passed over', async rig => {
    await rig.subscribe()
    const { topic, group } = rig
    await rig.send(rawRecord(topic, 'a:1', { [HEADERS.replayGroup]: 'another' }))
    await rig.send(rawRecord(topic, 'a:2', { [HEADERS.replayGroup]: group }))
    await rig.send(rawRecord(topic, 'a:3'))
    await rig.handles('a:2', 'a:3')
  })

  obligation('what was put aside keeps its key back, and no other', async rig => {
    await rig.subscribe(({ key }) =>
      key === 'a' ? { kind: 'hold', reason: 'someone must look at it' } : undefined,
    )
    await rig.publish('a:1', 'a:2', 'b:1', 'b:2')
    await rig.becomes('b is handled', () => rig.handled.includes('b:2'))
    await rig.becomes('a was asked', () => rig.handled.includes('a:1'))
    assert.ok(!rig.handled.includes('a:2'))
    assert.deepEqual(await rig.deadLetters(rig.group), [])
  })

  obligation('what is dropped by its handler is over', async rig => {
    await rig.subscribe(() => ({ kind: 'drop', why: 'ignored' }))
    await rig.publish('a:1', 'a:2')
    await rig.handles('a:1', 'a:2')
    assert.deepEqual(await rig.deadLetters(rig.group), [])
  })

  obligation('a subscription that is paused handles nothing until it is resumed', async rig => {
    const subscription = await rig.subscribe()
    await subscription.pause({}, { reason: 'maintenance' })
    await rig.becomes('it is paused', () => subscription.state === 'paused')
    await rig.publish('a:1')
    await new Promise(settle => setTimeout(settle, 300))
    assert.deepEqual(rig.handled, [])
    await subscription.resume({})
    await rig.handles('a:1')
    await rig.becomes('it runs', () => subscription.state === 'running')
  })

  obligation('a pause of one key leaves the others alone, and ends at its time', async rig => {
    const subscription = await rig.subscribe()
    const until = new Date(Date.now() + 1_500)
    const { topic } = rig
    await subscription.pause({ topic, key: 'a' }, { reason: 'look at it', until })
    await rig.publish('a:1', 'b:1')
    await rig.handles('b:1', 'a:1')
    assert.ok(Date.now() >= until.getTime() - 50)
  })

  obligation('what is replayed is handled again', async rig => {
    const subscription = await rig.subscribe()
    await rig.publish('a:1', 'b:1', 'a:2')
    await rig.becomes('all are handled', () => rig.handled.length === 3)
    const query = { topic: rig.topic, fromOffset: 0n, key: 'a' }
    const counted = await subscription.replay({ ...query, dryRun: true })
    assert.deepEqual(counted, { matched: 2, enqueued: 0 })
    assert.equal(rig.handled.length, 3)
    const replayed = await subscription.replay({ ...query, dryRun: false })
    assert.deepEqual(replayed, { matched: 2, enqueued: 2 })
    await rig.becomes('two are handled again', () => rig.handled.length === 5)
    assert.deepEqual(rig.handled.slice(3), ['a:1', 'a:2'])
  })
}
