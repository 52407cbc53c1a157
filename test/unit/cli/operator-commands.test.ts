import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cleanup } from '../../support/cleanup.ts'
import type { Scope } from '../../support/parts.ts'

const bin = fileURLToPath(new URL('../../../bin/sluice', import.meta.url))
/** Nothing listens on port 1. */
const NOWHERE = {
  DATABASE_URL: 'postgres://me:hunter2@127.0.0.1:1/none',
  KAFKA_BROKERS: '127.0.0.1:1',
}

async function sluice(t: Scope, command: string) {
  const child = spawn(process.execPath, [bin, ...command.split(' ')], {
    env: { PATH: process.env.PATH, ...NOWHERE },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 60_000,
  })
  cleanup(t, () => void child.kill('SIGKILL'))
  let output = ''
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', text => {
      output += text
    })
  }
  const [code] = await once(child, 'close')
  return { code, output }
}

test('the operators’ commands are there, and end with 1 when nothing is reachable', async t => {
  for (const command of [
    'dead list',
    'lanes list',
    'topics list',
    'replay --id 1',
    'inspect topics',
    'doctor',
  ]) {
    const { code, output } = await sluice(t, command)
    assert.equal(code, 1, `${command}: ${output}`)
    assert.doesNotMatch(output, /hunter2|did not end by itself| {4}at /, command)
  }
})

test('a command that is not understood ends with 2 before anything is connected to', async t => {
  for (const command of [
    'dead',
    'dead requeue',
    'dead discard x',
    'lanes pause',
    'replay',
    'inspect messages',
  ]) {
    const { code, output } = await sluice(t, command)
    assert.equal(code, 2, `${command}: ${output}`)
    assert.doesNotMatch(output, /ECONNREFUSED/)
  }
})
