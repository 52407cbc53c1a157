import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Mark, Watermark } from '../../src/consumer/watermark.ts'

/** Adds a record so many offsets behind the last, finishes one that is open, or reaches beyond markers. */
const step = fc.oneof(
  fc.record({ kind: fc.constant('add' as const), gap: fc.integer({ min: 0, max: 3 }) }),
  fc.record({ kind: fc.constant('finish' as const), which: fc.nat() }),
  fc.record({ kind: fc.constant('reach' as const), gap: fc.integer({ min: 1, max: 3 }) }),
)

test('the watermark is the end of the finished prefix, never goes back, and forgets what is behind it', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 300 }), steps => {
      const watermark = new Watermark()
      const open: Mark[] = []
      let next = 0n
      let before = -1n
      for (const one of steps) {
        if (one.kind === 'add') {
          next += BigInt(one.gap)
          open.push(watermark.add(next++))
        } else if (one.kind === 'reach') {
          next += BigInt(one.gap)
          watermark.reach(next)
        } else {
          const [mark] = open.splice(one.which % Math.max(open.length, 1), 1)
          if (mark) watermark.finish(mark)
        }
        const first = open.map(({ offset }) => offset).toSorted((a, b) => Number(a - b))[0]
        const position = watermark.position ?? -1n
        assert.ok(position >= before)
        if (first === undefined) assert.equal(position, next === 0n ? -1n : next)
        else assert.ok(position <= first)
        before = position
      }
    }),
  )
})

test('with records alone the watermark is exactly behind the last of the finished prefix', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 60 }).chain(count =>
        fc.shuffledSubarray(
          Array.from({ length: count }, (_, index) => index),
          { minLength: count },
        ),
      ),
      order => {
        const watermark = new Watermark()
        const marks = order.map((_, index) => watermark.add(BigInt(index * 2)))
        const done = new Set<number>()
        for (const index of order) {
          watermark.finish(marks[index] as Mark)
          done.add(index)
          let prefix = 0
          while (done.has(prefix)) prefix++
          const expected = prefix === 0 ? null : BigInt((prefix - 1) * 2 + 1)
          assert.equal(watermark.position, expected)
        }
      },
    ),
  )
})

test('a hundred thousand records leave next to nothing behind', () => {
  const watermark = new Watermark()
  for (let offset = 0n; offset < 100_000n; offset++) watermark.finish(watermark.add(offset))
  assert.equal(watermark.size, 0)
  assert.equal(watermark.position, 100_000n)
})
