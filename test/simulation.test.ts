import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const MAIN = fileURLToPath(new URL('simulation/main.ts', import.meta.url))
/** As many seeds as fit; the first ones are always the same. */
const SECONDS = 25
const TIMEOUT_MS = 120_000

/** In a process of its own: the simulation puts its clock in the place of the process's. */
async function simulate(...args: string[]): Promise<string> {
  const command = ['--import', 'tsx', MAIN, ...args]
  try {
    const { stdout } = await promisify(execFile)(process.execPath, command, {
      timeout: TIMEOUT_MS,
      maxBuffer: 2 ** 28,
    })
    return stdout
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string }
    throw new Error(`the simulation failed:\n${stdout}${stderr}`, { cause: error })
  }
}

test('replicas under random faults lose nothing, keep the order and publish again only with a reason', async t => {
  const told = await simulate('--seeds', '100000', '--seconds', String(SECONDS))
  t.diagnostic(told.trim())
  const seeds = Number(/^(\d+) seeds/m.exec(told)?.[1])
  assert.ok(seeds >= 5, `only ${seeds} seeds`)
})

test('one seed gives one history', async () => {
  // Some with many kinds of faults, some with few.
  for (const seed of ['2', '7', '8']) {
    const [first, second] = [await simulate('--seed', seed), await simulate('--seed', seed)]
    assert.match(first, /history [0-9a-f]{8}/)
    assert.equal(first, second)
  }
})
