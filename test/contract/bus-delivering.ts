import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { HEADERS, type Message } from '../../src/consumer/message.ts'
import { type Counted, named, type Obligation, optionsOf, rawRecord } from './bus-rig.ts'

export function delivering(obligation: Obligation): void {
  obligation('what is published is handled once a subscription is there', async rig => {
    const messages: Message<Counted>[] = []
    const subscription = await rig.subscribe(message => {
      messages.push(message)
    })
    assert.equal(subscription.state, 'running')
    assert.equal(subscription.group, rig.group)
    await rig.publish('order-17:1')
    await rig.handles('order-17:1')
    const [message] = messages
    assert.ok(message)
    assert.equal(message.type, 'OrderChanged')
    assert.equal(message.topic, rig.topic)
    assert.equal(message.key, 'order-17')
    assert.deepEqual(message.value, { n: 1 })
    assert.match(message.id, /^[0-9a-f-]{36}$/)
    assert.equal(message.headers[HEADERS.eventId], message.id)
    assert.ok(Math.abs(message.at.getTime() - Date.now()) < 60_000)
  })

  obligation(
    'a group begins with what lies there already, unless it wants the latest',
    async rig => {
      await rig.send(rawRecord(rig.topic, 'a:1'))
      await rig.subscribe()
      await rig.handles('a:1')
      const late: string[] = []
      await rig.bus.subscribe(
        { ...optionsOf(`late-${randomUUID()}`, rig.topic), from: 'latest' },
        async message => {
          late.push(named(message))
        },
      )
      await rig.publish('a:2')
      await rig.becomes('the late group has what came since', () => late.length > 0)
      assert.deepEqual(late, ['a:2'])
    },
  )

  obligation('messages of a key are handled in their order, one after the other', async rig => {
    const KEYS = ['a', 'b', 'c', 'd', 'e']
    const inWork = new Set<string | null>()
    let overlaps = 0
    await rig.subscribe(async ({ key }) => {
      if (inWork.has(key)) overlaps++
      inWork.add(key)
      await new Promise(setImmediate)
      inWork.delete(key)
    })
    const numbers = Array.from({ length: 10 }, (_, index) => index + 1)
    await rig.publish(...numbers.flatMap(n => KEYS.map(key => `${key}:${n}`)))
    await rig.becomes('all are handled', () => rig.handled.length >= 50)
    assert.equal(overlaps, 0)
    for (const key of KEYS) {
      const ofKey = rig.handled.filter(text => text.startsWith(`${key}:`))
      assert.deepEqual(
        ofKey,
        numbers.map(n => `${key}:${n}`),
      )
    }
  })

  obligation('different keys are handled at once, as many as the subscription wants', async rig => {
    let release = () => {}
    const released = new Promise<void>(settle => {
      release = settle
    })
    await rig.subscribe(() => released, { concurrency: 3 })
    await rig.publish('a:1', 'b:1', 'c:1', 'd:1', 'e:1')
    await rig.becomes('three are in work', () => rig.handled.length >= 3)
    await new Promise(settle => setTimeout(settle, 100))
    assert.equal(rig.handled.length, 3)
    release()
    await rig.becomes('all are handled', () => rig.handled.length === 5)
  })

  obligation('an event that comes twice is handled once', async rig => {
    await rig.subscribe()
    const twice = rawRecord(rig.topic, 'a:1')
    await rig.send(twice)
    await rig.send(twice)
    await rig.send(rawRecord(rig.topic, 'a:2'))
    await rig.handles('a:1', 'a:2')
  })

  obligation('without an inbox it is handled twice', async rig => {
    await rig.subscribe(undefined, { dedup: 'none' })
    const twice = rawRecord(rig.topic, 'a:1')
    await rig.send(twice)
    await rig.send(twice)
    await rig.handles('a:1', 'a:1')
  })

  obligation(
    'a batch is handled by one call, and one that fails does not keep the others',
    async rig => {
      const sizes: number[] = []
      const done: string[] = []
      await rig.publish('a:1', 'b:1', 'c:1', 'd:1')
      await rig.bus.subscribeBatch(
        optionsOf(rig.group, rig.topic, { retry: { baseMs: 1, maxMs: 1 }, attemptsMax: 2 }),
        async messages => {
          sizes.push(messages.length)
          if (messages.some(message => named(message) === 'c:1'))
            throw new TypeError('not this one')
          done.push(...messages.map(named))
        },
      )
      const dead = async () => (await rig.deadLetters(rig.group)).length === 1
      await rig.becomes('the one is dead and the others are done', async () => {
        return done.length === 3 && (await dead())
      })
      assert.deepEqual([...done].sort(), ['a:1', 'b:1', 'd:1'])
      assert.ok(sizes.includes(1), `batches of ${sizes}`)
      await rig.publish('e:1', 'f:1', 'g:1', 'h:1')
      await rig.becomes('the later ones are done', () => done.length >= 7)
      assert.deepEqual(done.slice(3).sort(), ['e:1', 'f:1', 'g:1', 'h:1'])
      await rig.publish('e:2')
      await rig.becomes('one more is done', () => done.length >= 8)
      assert.deepEqual(done.slice(7), ['e:2'])
    },
  )

  obligation('two groups are independent: what one puts aside the other handles', async rig => {
    await rig.subscribe(() => ({ kind: 'hold', reason: 'not here' }))
    const others: string[] = []
    await rig.bus.subscribe(optionsOf(`other-${randomUUID()}`, rig.topic), async message => {
      others.push(named(message))
    })
    await rig.publish('a:1', 'a:2', 'b:1')
    await rig.becomes('the other group has all', () => others.length === 3)
    await rig.becomes('the first has the heads', () => rig.handled.length === 2)
    assert.deepEqual([...rig.handled].sort(), ['a:1', 'b:1'])
  })
}
