import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RunningParts } from '../../../src/demo/running-parts.ts'

test('parts are stopped in reverse order, all of them, even when one fails', async () => {
  const stopped: string[] = []
  const running = new RunningParts()
  for (const name of ['database', 'relay', 'consumer']) {
    running.add({
      stop: async () => {
        stopped.push(name)
        if (name === 'relay') throw new Error('relay does not stop')
      },
    })
  }
  await assert.rejects(running.stopAll(), /relay does not stop/)
  assert.deepEqual(stopped, ['consumer', 'relay', 'database'])
  await running.stopAll() // nothing is stopped twice
  assert.equal(stopped.length, 3)
})

test('a part that hangs does not keep killAll beyond its deadline, nor the others from being killed', async () => {
  const killed: string[] = []
  const running = new RunningParts()
  running.add({ stop: async () => assert.fail('stopped'), kill: () => void killed.push('relay') })
  running.add({ stop: () => new Promise(() => {}) })
  await running.killAll(50)
  assert.deepEqual(killed, ['relay'])
})

test('a forgotten part is not stopped', async () => {
  const running = new RunningParts()
  const part = { stop: async () => assert.fail('stopped') }
  running.add(part)
  running.forget(part)
  await running.stopAll()
})
