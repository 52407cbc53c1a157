import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { Command } from 'commander'
import type { CliContext } from '../../src/cli/context.ts'
import { register } from '../../src/cli/enqueue.ts'
import { setup } from '../support/writers.ts'

async function sluice(databaseUrl: string, ...args: string[]): Promise<string> {
  let printed = ''
  const stdout = new Writable({
    write(chunk, _encoding, done) {
      printed += chunk
      done()
    },
  })
  const program = new Command().exitOverride().configureOutput({ writeErr() {} })
  const context = { env: {}, stdout, stderr: stdout, loadOptions: () => ({ databaseUrl }) }
  register(program, context as unknown as CliContext)
  for (const command of program.commands) {
    command.exitOverride().configureOutput({ writeErr() {} })
  }
  await program.parseAsync(['enqueue', ...args], { from: 'user' })
  return printed
}

test('sluice enqueue writes one event and prints its id', async t => {
  const { url, rows } = await setup(t)
  const args = ['--topic', 'orders', '--type', 'OrderPlaced']
  const plain = await sluice(url, ...args, '--payload', '{"n": 1.0}', '--header', 'a=b', 'c=d=e')
  const json = await sluice(url, ...args, '--key', '', '--tombstone', '--json')
  const [first, second] = await rows()
  assert.equal(plain, `${first?.event_id}\n`)
  assert.deepEqual(JSON.parse(json), { event_id: second?.event_id })
  assert.deepEqual(
    [first?.key, first?.payload, first?.headers],
    [null, '{"n": 1.0}', { a: 'b', c: 'd=e' }],
  )
  assert.deepEqual([second?.key, second?.payload], ['', null])
})

test('sluice enqueue refuses what it does not understand before it connects', async () => {
  const args = ['--topic', 'orders', '--type', 'A']
  const usage = (error: unknown) => /^commander\./.test((error as { code: string }).code)
  await assert.rejects(sluice('', ...args), usage)
  await assert.rejects(sluice('', ...args, '--payload', '1', '--tombstone'), usage)
  await assert.rejects(sluice('', ...args, '--tombstone', '--header', 'novalue'), usage)
  await assert.rejects(sluice('', '--topic', 'orders', '--payload', '1'), usage)
})
