import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { AggregateRootBase } from '../../src/consumer/domain-event.ts'
import { eventOf, named, type Obligation, optionsOf } from './bus-rig.ts'

class Order extends AggregateRootBase {
  change(topic: string, text: string): void {
    this.record(eventOf(topic, text))
  }
}

const ROLLED_BACK = new Error('rolled back')

export function publishing(obligation: Obligation): void {
  obligation('a transaction that is rolled back publishes nothing', async rig => {
    await rig.subscribe()
    const work = rig.transaction(async tx => {
      await rig.bus.publish(eventOf(rig.topic, 'a:1'), tx)
      throw ROLLED_BACK
    })
    await assert.rejects(work, ROLLED_BACK)
    await rig.publish('a:2')
    await rig.handles('a:2')
  })

  obligation('nothing is published before the commit', async rig => {
    await rig.subscribe()
    await rig.transaction(async tx => {
      await rig.bus.publish(eventOf(rig.topic, 'a:1'), tx)
      await new Promise(settle => setTimeout(settle, 100))
      assert.deepEqual(rig.handled, [])
    })
    await rig.handles('a:1')
  })

  obligation('of a savepoint that is rolled back nothing is published', async rig => {
    await rig.subscribe()
    await rig.transaction(async tx => {
      await rig.bus.publish(eventOf(rig.topic, 'a:1'), tx)
      const inner = tx.savepoint(async nested => {
        await rig.bus.publish(eventOf(rig.topic, 'a:2'), nested)
        throw ROLLED_BACK
      })
      await assert.rejects(inner, ROLLED_BACK)
      await tx.savepoint(nested => rig.bus.publish(eventOf(rig.topic, 'a:3'), nested))
    })
    await rig.handles('a:1', 'a:3')
  })

  obligation('an aggregate’s events are published in their order and taken off it', async rig => {
    await rig.subscribe()
    const order = new Order()
    for (const text of ['a:1', 'a:2', 'a:3']) order.change(rig.topic, text)
    const published = await rig.transaction(tx => rig.bus.publishForAggregate(order, tx))
    assert.equal(published, 3)
    assert.deepEqual(order.domainEvents, [])
    await rig.handles('a:1', 'a:2', 'a:3')
  })

  obligation(
    'what a handler publishes goes out with its effects, and not if it fails',
    async rig => {
      const next = await rig.createTopic()
      const followed: string[] = []
      await rig.bus.subscribe(optionsOf(`next-${randomUUID()}`, next), async message => {
        followed.push(named(message))
      })
      await rig.subscribe(
        async ({ value }, context) => {
          await context.publish(eventOf(next, `a:${value.n * 10 + context.attempt}`))
          if (context.attempt === 1) throw new Error('not yet')
        },
        { retry: { baseMs: 1, maxMs: 1 } },
      )
      await rig.publish('a:1', 'a:2')
      await rig.becomes('both are followed', () => followed.length >= 2)
      assert.deepEqual(followed, ['a:12', 'a:22'])
    },
  )
}
