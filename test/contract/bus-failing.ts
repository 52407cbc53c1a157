import assert from 'node:assert/strict'
import { BadMessage, DependencyDown } from '../../src/consumer/outcome.ts'
import { type Obligation, rawRecord } from './bus-rig.ts'

const SOON = { retry: { baseMs: 1, maxMs: 1 } }

export function failing(obligation: Obligation): void {
  obligation(
    'what fails comes back, before later ones of its key, while others flow',
    async rig => {
      let again = false
      await rig.subscribe(({ key, value }) => {
        if (key !== 'a' || value.n !== 1 || again) return undefined
        again = true
        return { kind: 'retry', at: new Date(Date.now() + 1_500), reason: 'not yet' }
      })
      await rig.publish('a:1', 'a:2', 'b:1', 'a:3', 'b:2')
      await rig.becomes('all are handled', () => rig.handled.length >= 6)
      const ofA = rig.handled.filter(text => text.startsWith('a'))
      assert.deepEqual(ofA, ['a:1', 'a:1', 'a:2', 'a:3'])
      const second = rig.handled.lastIndexOf('a:1')
      assert.ok(rig.handled.indexOf('b:2') < second, `b waited for a: ${rig.handled}`)
    },
  )

  obligation('a handler may throw anything, and is called again', async rig => {
    const thrown = [new TypeError('x is undefined'), 'text', null, undefined]
    const attempts: number[] = []
    await rig.subscribe((_, { attempt }) => {
      attempts.push(attempt)
      if (attempt <= thrown.length) throw thrown[attempt - 1]
    }, SOON)
    await rig.publish('a:1', 'a:2')
    await rig.becomes('the second had its turns, too', () => attempts.length >= 10)
    assert.deepEqual(attempts, [1, 2, 3, 4, 5, 1, 2, 3, 4, 5])
  })

  obligation('when its attempts are spent it is a dead letter, and its key goes on', async rig => {
    await rig.subscribe(
      ({ value }) => {
        if (value.n === 1) throw new Error('never')
      },
      { ...SOON, attemptsMax: 3 },
    )
    const doomed = rawRecord(rig.topic, 'a:1')
    await rig.send(doomed)
    await rig.send(rawRecord(rig.topic, 'a:2'))
    await rig.handles('a:1', 'a:1', 'a:1', 'a:2')
    const [dead, ...others] = await rig.deadLetters(rig.group)
    assert.deepEqual(others, [])
    assert.equal(dead?.messageId, doomed.headers.event_id)
    assert.equal(dead?.attempts, 3)
  })

  obligation('a bad message is a dead letter at once, and its key goes on', async rig => {
    await rig.subscribe(({ value }) => {
      if (value.n === 1) throw new BadMessage('not an order')
      return value.n === 2 ? { kind: 'bad', reason: 'not an order either' } : undefined
    })
    await rig.publish('a:1', 'a:2', 'a:3')
    await rig.handles('a:1', 'a:2', 'a:3')
    assert.equal((await rig.deadLetters(rig.group)).length, 2)
  })

  obligation('what cannot be read is a dead letter without a call of the handler', async rig => {
    await rig.subscribe()
    const { topic } = rig
    const whole = rawRecord(topic, 'a:1')
    await rig.send({ ...whole, value: '{"n":' })
    await rig.send({ ...whole, headers: { event_type: 'OrderChanged' } })
    await rig.send(rawRecord(topic, 'a:3', { event_type: '' }))
    await rig.send(rawRecord(topic, 'a:4'))
    await rig.handles('a:4')
    assert.equal((await rig.deadLetters(rig.group)).length, 3)
  })

  obligation('bad messages are only logged where that is wanted', async rig => {
    await rig.subscribe(
      ({ value }) => {
        if (value.n === 1) throw new BadMessage('not an order')
      },
      { onBad: 'log' },
    )
    await rig.publish('a:1', 'a:2')
    await rig.handles('a:1', 'a:2')
    assert.deepEqual(await rig.deadLetters(rig.group), [])
  })

  obligation(
    'dead letters are published, with where they lay, to a topic that is named',
    async rig => {
      const deadLetterTopic = await rig.createTopic()
      await rig.subscribe(() => ({ kind: 'bad', reason: 'not an order' }), { deadLetterTopic })
      const origins: (string | undefined)[] = []
      await rig.bus.subscribe(
        { group: `${rig.group}-dead`, topics: [deadLetterTopic], codec: { decode: String } },
        async ({ headers, value }) => {
          assert.equal(value, '{"n":1}')
          origins.push(headers['twr-origin'])
        },
      )
      await rig.publish('a:1')
      await rig.becomes('the dead letter is there', () => origins.length === 1)
      assert.match(String(origins[0]), new RegExp(`^${rig.topic}/0/\\d+$`))
    },
  )

  obligation(
    'a dependency that is down pauses all, spends nothing, and then all goes on',
    async rig => {
      let there = false
      const attempts = new Set<number>()
      const subscription = await rig.subscribe((_, { attempt }) => {
        attempts.add(attempt)
        if (!there) throw new DependencyDown('bank')
      })
      await rig.publish('a:1', 'a:2', 'a:3')
      await rig.becomes('the subscription pauses', () => subscription.state === 'paused')
      await rig.becomes('it has been tried again', () => rig.handled.length >= 2)
      assert.deepEqual(new Set(rig.handled), new Set(['a:1']))
      there = true
      await rig.becomes('all are handled', () => rig.handled.includes('a:3'))
      assert.deepEqual([...attempts], [1])
      assert.deepEqual(await rig.deadLetters(rig.group), [])
      await rig.becomes('the subscription runs', () => subscription.state === 'running')
    },
  )

  obligation('a call that fails is the dependency’s fault', async rig => {
    let there = false
    let calls = 0
    await rig.subscribe(async (_, context) => {
      await context.call('bank', async () => {
        calls++
        if (!there) throw new Error('connection refused')
      })
    })
    await rig.publish('a:1')
    await rig.becomes('it was called', () => calls >= 2)
    there = true
    await rig.publish('a:2')
    await rig.becomes('both are handled', () => rig.handled.includes('a:2'))
    assert.deepEqual(await rig.deadLetters(rig.group), [])
  })

  obligation('a handler that takes too long is left and called again', async rig => {
    let aborted = false
    await rig.subscribe(
      async (_, { attempt, signal }) => {
        if (attempt > 1) return
        await new Promise<void>(settle => {
          signal.addEventListener('abort', () => settle(), { once: true })
        })
        aborted = true
      },
      { ...SOON, handlerTimeoutMs: 200 },
    )
    await rig.publish('a:1', 'a:2')
    await rig.handles('a:1', 'a:1', 'a:2')
    assert.ok(aborted)
  })

  obligation('the subscription’s classifier decides first', async rig => {
    await rig.subscribe(
      ({ value }) => {
        if (value.n === 1) throw new RangeError('of no interest')
      },
      {
        classify: error =>
          error instanceof RangeError ? { kind: 'drop', why: 'ignored' } : undefined,
      },
    )
    await rig.publish('a:1', 'a:2')
    await rig.handles('a:1', 'a:2')
    assert.deepEqual(await rig.deadLetters(rig.group), [])
  })
}
