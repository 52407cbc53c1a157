import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { PartProcess } from '../../src/embedded/part-process.ts'
import { openOwnParts } from '../chaos/faults/own-parts.ts'
import { cleanup } from '../support/cleanup.ts'
import { until } from '../support/until.ts'

const DEADLINE_MS = 20_000
const SLEEPER = { name: 'a sleeper', command: 'sleep', args: ['60'], env: process.env }

/** Run as a program: starts a process in a guarded folder, names both, and stays. */
if (process.argv[2] === 'owner') {
  const { context, guard } = await openOwnParts({ name: 'owner', after: () => {} })
  const { folder } = context
  const sleeper = PartProcess.start({ ...SLEEPER, cwd: folder, logFile: `${folder}/log` })
  guard.watch(sleeper.pid)
  process.kill(sleeper.pid, 'SIGSTOP')
  process.stdout.write(`${JSON.stringify({ folder, pid: sleeper.pid })}\n`)
} else {
  test('parts end with a killed test, even frozen, and their folder goes', async t => {
    const owner = await startOwner(t)
    assert.ok(isAlive(owner.pid) && existsSync(owner.folder))
    owner.kill()
    await until(() => !isAlive(owner.pid) && !existsSync(owner.folder), {
      deadlineMs: DEADLINE_MS,
      what: 'the sleeper and its folder are gone',
    })
  })
}

async function startOwner(t: TestContext) {
  const args = ['--import', 'tsx', fileURLToPath(import.meta.url), 'owner']
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'], env })
  const kill = () => child.kill('SIGKILL')
  cleanup(t, () => void kill())
  const [line] = await once(child.stdout, 'data')
  const { folder, pid } = JSON.parse(String(line)) as { folder: string; pid: number }
  return { folder, pid, kill }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}
