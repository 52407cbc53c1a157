import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Fifo } from '../../src/internal/fifo.ts'

const step = fc.constantFrom('push', 'unshift', 'shift', 'shift', 'clear')

test('it is what an array would be', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 100 }), steps => {
      const fifo = new Fifo<number>()
      const model: number[] = []
      steps.forEach((kind, number) => {
        if (kind === 'push') {
          fifo.push(number)
          model.push(number)
        } else if (kind === 'unshift') {
          fifo.unshift(number)
          model.unshift(number)
        } else if (kind === 'shift') {
          assert.equal(fifo.shift(), model.shift())
        } else if (number % 7 === 0) {
          fifo.clear()
          model.length = 0
        }
        assert.equal(fifo.size, model.length)
      })
      while (model.length > 0) assert.equal(fifo.shift(), model.shift())
      assert.equal(fifo.shift(), undefined)
    }),
  )
})
