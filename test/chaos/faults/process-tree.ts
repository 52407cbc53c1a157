import { execFile } from 'node:child_process'
import { readdir, readFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)
const COMMAND_TIMEOUT_MS = 10_000

/** Processes that this one has started and that still run. */
export async function childrenOf(pid: number): Promise<number[]> {
  const pairs = (await fromProc()) ?? (await fromPs())
  return pairs.filter(([, parent]) => parent === pid).map(([child]) => child)
}

/** Sends a signal to processes of which some may have ended already. */
export function signalAll(pids: readonly number[], signal: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, signal)
    } catch {
      // It has ended.
    }
  }
}

/** Undefined where there is no `/proc`. */
async function fromProc(): Promise<[number, number][] | undefined> {
  const names = await readdir('/proc').catch(() => undefined)
  const pids = names?.filter(name => /^\d+$/.test(name))
  if (!pids || pids.length === 0) return undefined
  const pairs = pids.map(async (pid): Promise<[number, number]> => {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
    // The program's name stands in parentheses and may itself hold some.
    const [, parent] = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return [Number(pid), Number(parent)]
  })
  return Promise.all(pairs)
}

async function fromPs(): Promise<[number, number][]> {
  const { stdout } = await run('ps', ['-A', '-o', 'pid=,ppid='], { timeout: COMMAND_TIMEOUT_MS })
  return stdout
    .trim()
    .split('\n')
    .map(line => line.trim().split(/\s+/).map(Number) as [number, number])
}
