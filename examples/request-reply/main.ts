// KAFKA_BROKERS=… node --import tsx examples/request-reply/main.ts
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'

const DEADLINE_MS = 60_000

const parties: ChildProcess[] = []
process.once('exit', () => {
  for (const party of parties) party.kill('SIGKILL')
})
const timer = setTimeout(() => {
  process.stderr.write(`not finished within ${DEADLINE_MS} ms\n`)
  process.exit(1)
}, DEADLINE_MS)

const workers = await started('worker.ts', 'worker-1', 'worker.ts', 'worker-2')
const requesters = await started(
  'requester.ts',
  'requester-1',
  'requester-by-hand.ts',
  'requester-2',
)
const done = requesters.map(requester => once(requester, 'message'))
for (const requester of requesters) requester.send('go')
await Promise.all(done)
for (const party of [...requesters, ...workers]) await ended(party)
clearTimeout(timer)
process.stdout.write('all is answered\n')

/** One after the other: who joins a group moves the partitions of those who are there. */
async function started(...programs: readonly string[]): Promise<ChildProcess[]> {
  const children: ChildProcess[] = []
  for (let at = 0; at < programs.length; at += 2) {
    const [file = '', name = ''] = programs.slice(at, at + 2)
    const program = fileURLToPath(new URL(file, import.meta.url))
    const child = spawn(process.execPath, ['--import', 'tsx', program, name], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    })
    parties.push(child)
    child.once('exit', code => {
      if (code !== 0) process.exit(1)
    })
    await once(child, 'message')
    children.push(child)
  }
  return children
}

async function ended(party: ChildProcess): Promise<void> {
  const exit = once(party, 'exit')
  party.send('end')
  await exit
}
