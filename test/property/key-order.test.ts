import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { KeyOrder } from '../../src/consumer/key-order.ts'

interface Queued {
  readonly chain: string | null
  readonly number: number
}

const step = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('a', 'b', 'c', null).map(chain => ({ add: chain })) },
  { weight: 3, arbitrary: fc.constant({ next: true as const }) },
  { weight: 2, arbitrary: fc.nat().map(which => ({ finish: which })) },
  { weight: 1, arbitrary: fc.nat().map(which => ({ putBack: which })) },
)

test('records of a chain run alone and in order, free ones at any time, and none is lost', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), steps => {
      const order = new KeyOrder<Queued>()
      const inWork: Queued[] = []
      const finished: Queued[] = []
      let added = 0
      const begin = () => {
        const record = order.next()
        if (record === undefined) return false
        const rivals = inWork.filter(({ chain }) => chain !== null && chain === record.chain)
        assert.deepEqual(rivals, [])
        inWork.push(record)
        return true
      }
      const take = (which: number) => inWork.splice(which % Math.max(inWork.length, 1), 1)[0]
      for (const one of steps) {
        if ('add' in one) order.add({ chain: one.add, number: added++ })
        else if ('next' in one) begin()
        else if ('finish' in one) {
          const record = take(one.finish)
          if (record === undefined) continue
          order.finish(record)
          finished.push(record)
        } else {
          const record = take(one.putBack)
          if (record !== undefined) order.putBack(record)
        }
      }
      for (;;) {
        while (begin()) {}
        const record = inWork.shift()
        if (record === undefined) break
        order.finish(record)
        finished.push(record)
      }
      assert.equal(finished.length, added)
      for (const chain of ['a', 'b', 'c']) {
        const numbers = finished
          .filter(record => record.chain === chain)
          .map(({ number }) => number)
        assert.deepEqual(
          numbers,
          numbers.toSorted((a, b) => a - b),
        )
      }
    }),
  )
})
