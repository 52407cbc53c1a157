import assert from 'node:assert/strict'
import type { TopicPartition } from '../../src/consumer/record-source.ts'
import { SluiceError } from '../../src/errors.ts'
import { eventOf, type Obligation, optionsOf } from './bus-rig.ts'

const refusedAs = (code: string) => (error: unknown) =>
  error instanceof SluiceError && error.code === code

export function ending(obligation: Obligation): void {
  obligation(
    'a subscription that was stopped handles nothing more, and its group goes on later',
    async rig => {
      const subscription = await rig.subscribe()
      await rig.publish('a:1')
      await rig.handles('a:1')
      await subscription.stop()
      await subscription.stop()
      await subscription.completed
      assert.equal(subscription.state, 'stopped')
      await rig.publish('a:2')
      await new Promise(settle => setTimeout(settle, 300))
      assert.deepEqual(rig.handled, ['a:1'])
      await rig.subscribe()
      await rig.handles('a:1', 'a:2')
    },
  )

  obligation('stopping waits for what is in work', async rig => {
    let done = false
    const subscription = await rig.subscribe(async () => {
      await new Promise(settle => setTimeout(settle, 300))
      done = true
    })
    await rig.publish('a:1')
    await rig.becomes('it is in work', () => rig.handled.length === 1)
    await subscription.stop()
    assert.ok(done)
    await rig.publish('a:2')
    await rig.subscribe()
    await rig.handles('a:1', 'a:2')
  })

  obligation('what takes longer than stopping may is left, and handled again later', async rig => {
    let reason: unknown
    const attempts: number[] = []
    const subscription = await rig.subscribe(async (_, { attempt, signal }) => {
      attempts.push(attempt)
      await new Promise<void>(settle => {
        signal.addEventListener('abort', () => settle(), { once: true })
      })
      reason = signal.reason
    })
    await rig.publish('a:1')
    await rig.becomes('it is in work', () => rig.handled.length === 1)
    await subscription.stop({ timeoutMs: 100 })
    assert.notEqual(reason, undefined)
    await rig.subscribe((_, { attempt }) => {
      attempts.push(attempt)
    })
    await rig.handles('a:1', 'a:1')
    assert.deepEqual(attempts, [1, 1])
  })

  obligation('a listener is told of the partitions when they come and when they go', async rig => {
    const told: string[] = []
    const text = (partitions: readonly TopicPartition[]) =>
      partitions.map(({ topic, partition }) => `${topic}/${partition}`)
    const subscription = await rig.subscribe(undefined, {
      listener: {
        assigned: partitions => {
          told.push(`assigned ${text(partitions)}`)
        },
        revoked: (partitions, why) => {
          told.push(`revoked ${text(partitions)} ${why}`)
        },
      },
    })
    assert.deepEqual(told, [`assigned ${rig.topic}/0`])
    await subscription.stop()
    assert.deepEqual(told, [`assigned ${rig.topic}/0`, `revoked ${rig.topic}/0 stop`])
  })

  obligation('a bus that was closed has stopped its subscriptions and takes no more', async rig => {
    const subscription = await rig.subscribe()
    await rig.bus.close()
    await rig.bus.close()
    assert.equal(subscription.state, 'stopped')
    await assert.rejects(rig.subscribe(), refusedAs('lifecycle'))
  })

  obligation('options that make no sense are refused before anything is begun', async rig => {
    const subscribed = rig.bus.subscribe(optionsOf('', rig.topic), async () => {})
    await assert.rejects(subscribed, refusedAs('options'))
  })

  obligation(
    'an event without a legal topic is refused, and the transaction can go on',
    async rig => {
      await rig.subscribe()
      await rig.transaction(async tx => {
        const published = rig.bus.publish(eventOf('not a topic', 'a:1'), tx)
        await assert.rejects(published, refusedAs('event'))
        await rig.bus.publish(eventOf(rig.topic, 'a:2'), tx)
      })
      await rig.handles('a:2')
    },
  )
}
