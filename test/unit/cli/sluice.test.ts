import assert from 'node:assert/strict'
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { withDeadline } from '../../../src/internal/deadline.ts'
import { until } from '../../support/until.ts'

const bin = fileURLToPath(new URL('../../../bin/sluice', import.meta.url))
/** Nothing listens on port 1. */
const DATABASE_URL = 'postgres://me:hunter2@127.0.0.1:1/none'
const DEADLINE = { deadlineMs: 30_000 }

interface Ended {
  code: number | null
  signal: string | null
  stdout: string
  stderr: string
}

function start(t: TestContext, args: readonly string[], env: Record<string, string>, path = bin) {
  const child = spawn(path, args, {
    cwd: tmpdir(),
    env: { PATH: process.env.PATH ?? '', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  t.after(() => child.kill('SIGKILL'))
  const out = { stdout: '', stderr: '' }
  child.stdout.on('data', chunk => {
    out.stdout += chunk
  })
  child.stderr.on('data', chunk => {
    out.stderr += chunk
  })
  return { child, out, ended: end(child, out) }
}

async function end(child: ChildProcess, out: { stdout: string; stderr: string }): Promise<Ended> {
  const [code, signal] = await once(child, 'close')
  return { code, signal, ...out }
}

function sluice(t: TestContext, args: readonly string[], env: Record<string, string> = {}) {
  return start(t, args, env).ended
}

test('sluice runs from any folder and through a symlink', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-bin-'))
  t.after(() => rmSync(folder, { recursive: true }))
  symlinkSync(bin, join(folder, 'sluice'))
  const { code, stdout } = await start(t, ['--version'], {}, join(folder, 'sluice')).ended
  assert.equal(code, 0)
  assert.match(stdout, /^\d+\.\d+\.\d+\n$/)
})

test('bad usage ends with 2 and help with 0', async t => {
  assert.equal((await sluice(t, ['nonsense'])).code, 2)
  assert.equal((await sluice(t, [])).code, 2)
  assert.equal((await sluice(t, ['run', '--nonsense'])).code, 2)
  const { code, stdout } = await sluice(t, ['run', '--help'])
  assert.equal(code, 0)
  assert.match(stdout, /SLUICE_RESERVE_MS/)
})

test('bad options end with 2 and are all told on stderr, without a stack', async t => {
  const { code, stderr } = await sluice(t, ['run'], { DATABASE_URL, SLUICE_POLLMS: '1' })
  assert.equal(code, 2)
  assert.match(
    stderr,
    /^sluice: SLUICE_POLLMS .*did you mean SLUICE_POLL_MS\?\n +KAFKA_BROKERS must/,
  )
  assert.doesNotMatch(stderr, / at /)
})

test('--config may stand before or after the command, and --print-config shows no secret', async t => {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-config-'))
  t.after(() => rmSync(folder, { recursive: true }))
  const config = join(folder, 'sluice.env')
  writeFileSync(config, `DATABASE_URL=${DATABASE_URL}\nKAFKA_BROKERS=a:1\nSLUICE_BATCH_SIZE=77\n`)
  for (const args of [
    ['--config', config, 'run', '--print-config'],
    ['run', '--print-config', '--config', config],
  ]) {
    const { code, stdout } = await sluice(t, args)
    assert.equal(code, 0)
    assert.equal(JSON.parse(stdout).batchSize, 77)
    assert.doesNotMatch(stdout, /hunter2/)
  }
})

test('status ends with 1 when the database is not reachable, and needs no Kafka', async t => {
  const { code, stderr } = await sluice(t, ['status'], { DATABASE_URL })
  assert.equal(code, 1)
  assert.match(stderr, /^sluice: .*ECONNREFUSED/)
  assert.doesNotMatch(stderr, /hunter2/)
})

test('a signal ends a relay that still waits for its database, with 0', async t => {
  const { child, out, ended } = start(t, ['run'], {
    DATABASE_URL,
    KAFKA_BROKERS: '127.0.0.1:1',
    SLUICE_HTTP: 'off',
  })
  await until(() => out.stdout.includes('waiting for it'), { ...DEADLINE, what: 'it waits' })
  child.kill('SIGTERM')
  const late = () => new Error('it did not end')
  const { code, signal, stdout } = await withDeadline(ended, 10_000, late)
  assert.deepEqual({ code, signal }, { code: 0, signal: null })
  assert.match(stdout, /"msg":"stopped"/)
})

test('a second signal ends a stop that takes time, with 130', async t => {
  const silent = createServer()
  silent.listen(0, '127.0.0.1')
  await once(silent, 'listening')
  t.after(() => silent.close())
  const { port } = silent.address() as AddressInfo
  const env = { DATABASE_URL: `postgres://me@127.0.0.1:${port}/none`, KAFKA_BROKERS: '127.0.0.1:1' }
  const { child, out, ended } = start(t, ['run'], { ...env, SLUICE_HTTP: 'off' })
  await once(silent, 'connection')
  child.kill('SIGTERM')
  await until(() => out.stdout.includes('"stopping"'), { ...DEADLINE, what: 'it stops' })
  child.kill('SIGINT')
  assert.equal((await ended).code, 130)
})

test('an address that cannot be listened on ends the relay with 2', async t => {
  const env = { DATABASE_URL, KAFKA_BROKERS: '127.0.0.1:1', SLUICE_HTTP: '203.0.113.1:80' }
  const { code, stderr } = await sluice(t, ['run'], env)
  assert.equal(code, 2)
  assert.match(stderr, /^sluice: SLUICE_HTTP must be/)
})
