import { readFileSync } from 'node:fs'

/** Resident memory of a process in MiB; null where there is no /proc. */
export function processMemoryMib(pid: number): number | null {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const kib = /^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]
    return kib === undefined ? null : Number(kib) / 1024
  } catch {
    return null
  }
}
