import { readFileSync } from 'node:fs'

/** USER_HZ, the unit of times in /proc: 100 a second on every architecture that Node supports. */
const TICKS_PER_SECOND = 100

/** CPU seconds, user and system, of all threads of a process so far; null where there is no /proc. */
export function processCpuSeconds(pid: number): number | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    // The second field, the program's name, may hold spaces; what follows its bracket does not.
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND
  } catch {
    return null
  }
}
