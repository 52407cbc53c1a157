import assert from 'node:assert/strict'
import { test } from 'node:test'
import { SluiceError } from '../../../src/errors.ts'
import { withDeadline } from '../../../src/internal/deadline.ts'
import { Supervisor } from '../../../src/internal/supervisor.ts'

const late = () => new Error('it did not settle')

function setup() {
  const stopping = new AbortController()
  const supervisor = new Supervisor(stopping.signal)
  let dead = false
  supervisor.died.catch(() => {
    dead = true
  })
  return { stopping, supervisor, isDead: () => dead }
}

function loop() {
  let end = () => {}
  let fail = (_: Error) => {}
  const running = new Promise<void>((resolve, reject) => {
    end = resolve
    fail = reject
  })
  return { running, end: () => end(), fail: (error: Error) => fail(error) }
}

test('a loop that rejects is the death of the whole, under its name and with its cause', async () => {
  const { supervisor } = setup()
  const cause = new Error('out of luck')
  supervisor.watch('slot 3', Promise.reject(cause))
  await assert.rejects(withDeadline(supervisor.died, 2_000, late), (error: unknown) => {
    assert.ok(error instanceof SluiceError)
    assert.equal(error.code, 'lifecycle')
    assert.equal(error.message, 'slot 3 ended unexpectedly')
    assert.equal(error.cause, cause)
    return true
  })
})

test('a loop that ends before it was asked to is dead as well', async () => {
  const { supervisor } = setup()
  supervisor.watch('retention', Promise.resolve())
  await assert.rejects(withDeadline(supervisor.died, 2_000, late), /retention ended unexpectedly/)
})

test('a loop that ends when it was asked to is no death', async () => {
  const { supervisor, stopping, isDead } = setup()
  const { running, end } = loop()
  supervisor.watch('slot 0', running)
  stopping.abort()
  end()
  await withDeadline(supervisor.ended(), 2_000, late)
  assert.equal(isDead(), false)
})

test('a loop that rejects while stopping is a death all the same', async () => {
  const { supervisor, stopping } = setup()
  const { running, fail } = loop()
  supervisor.watch('slot 0', running)
  stopping.abort()
  fail(new Error('while stopping'))
  await assert.rejects(withDeadline(supervisor.died, 2_000, late), /slot 0 ended unexpectedly/)
})

test('all have ended only when the last one has, however they ended', async () => {
  const { supervisor } = setup()
  const one = loop()
  const two = loop()
  supervisor.watch('one', one.running)
  supervisor.watch('two', two.running)
  let ended = false
  const ending = supervisor.ended().then(() => {
    ended = true
  })
  one.fail(new Error('broken'))
  await supervisor.died.catch(() => {})
  await new Promise(setImmediate)
  assert.equal(ended, false)
  two.end()
  await withDeadline(ending, 2_000, late)
})
