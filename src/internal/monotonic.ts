/**
 * Milliseconds on the operating system's monotonic clock. Unlike `performance.now()` its origin is shared by
 * all threads of a machine, and it goes on while the process is paused by SIGSTOP.
 */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6
}
