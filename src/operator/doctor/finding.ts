import { describeError } from '../../errors.ts'

export type Level = 'ok' | 'warn' | 'fail'

/** What one check found. */
export interface Finding {
  /** What was looked at, in a word or two. */
  readonly check: string
  /** `warn`: it works, but not for long or not well; `fail`: events are not, or must not be, published. */
  readonly level: Level
  readonly found: string
  /** What to do about it; null when nothing is to be done. */
  readonly cure: string | null
}

export function ok(check: string, found: string): Finding {
  return { check, level: 'ok', found, cure: null }
}

export function warn(check: string, found: string, cure: string): Finding {
  return { check, level: 'warn', found, cure }
}

export function fail(check: string, found: string, cure: string): Finding {
  return { check, level: 'fail', found, cure }
}

/** A check that cannot be made says so and keeps nobody from the others. */
export async function attempt(
  check: string,
  work: () => Promise<Finding | readonly Finding[]>,
): Promise<readonly Finding[]> {
  try {
    return [await work()].flat()
  } catch (error) {
    const cure = 'see the reason; often a missing right, such as that of pg_monitor'
    return [warn(check, `could not be looked at: ${describeError(error)}`, cure)]
  }
}

/** `3.2 s`, `4 min`, `2.5 h`, `3 d`. */
export function roughly(seconds: number): string {
  if (seconds < 60) return `${seconds.toFixed(1)} s`
  if (seconds < 3_600) return `${Math.round(seconds / 60)} min`
  if (seconds < 172_800) return `${(seconds / 3_600).toFixed(1)} h`
  return `${Math.round(seconds / 86_400)} d`
}
