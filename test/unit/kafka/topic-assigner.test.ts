import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { deal } from '../../../src/kafka/topic-assigner.ts'

function dealt(subscriptions: Record<string, string[]>, partitions: Record<string, number[]>) {
  const members = Object.entries(subscriptions).map(
    ([member, topics]) => [member, new Set(topics)] as const,
  )
  const given = deal(new Map(members), new Map(Object.entries(partitions)))
  return Object.fromEntries(
    [...given].map(([member, topics]) => [
      member,
      [...topics].flatMap(([topic, numbers]) => numbers.map(each => `${topic}${each}`)).sort(),
    ]),
  )
}

test('members of the same topics get as many partitions each', () => {
  assert.deepEqual(dealt({ b: ['x', 'y'], a: ['x', 'y'] }, { x: [0, 1, 2], y: [0] }), {
    a: ['x0', 'x2'],
    b: ['x1', 'y0'],
  })
})

test('who reads a topic alone gets less of the shared one', () => {
  assert.deepEqual(dealt({ a: ['own', 'all'], b: ['all'] }, { own: [0, 1], all: [0, 1, 2, 3] }), {
    a: ['all2', 'own0', 'own1'],
    b: ['all0', 'all1', 'all3'],
  })
})

test('a member without a partition is told so', () => {
  assert.deepEqual(dealt({ a: ['x'], b: ['x'] }, { x: [0] }), { a: ['x0'], b: [] })
})

test('each partition goes to one member, of those that subscribed to its topic', () => {
  const topics = ['t0', 't1', 't2', 't3']
  const group = fc.dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.subarray(topics))
  const sizes = fc.tuple(...topics.map(() => fc.nat(7)))
  fc.assert(
    fc.property(group, sizes, (subscriptions, counts) => {
      const read = topics.filter(topic =>
        Object.values(subscriptions).some(each => each.includes(topic)),
      )
      const count = (topic: string) => counts[topics.indexOf(topic)] ?? 0
      const partitions = Object.fromEntries(
        read.map(topic => [topic, Array.from({ length: count(topic) }, (_, n) => n)]),
      )
      const given = dealt(subscriptions, partitions)
      const all = Object.values(given).flat().sort()
      const expected = read.flatMap(topic => partitions[topic]!.map(n => `${topic}${n}`)).sort()
      assert.deepEqual(all, expected)
      for (const [member, mine] of Object.entries(given)) {
        assert.ok(mine.every(each => subscriptions[member]!.includes(each.slice(0, 2))))
      }
    }),
  )
})
