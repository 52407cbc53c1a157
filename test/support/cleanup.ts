import type { Scope } from './parts.ts'

type Cleanup = () => Promise<void> | void

const stacks = new WeakMap<Scope, Cleanup[]>()

/**
 * Runs after the test, what was registered last first: node:test itself runs `after` hooks in the order given, which
 * would drop a database under those who still use it.
 */
export function cleanup(t: Scope, work: Cleanup): void {
  const known = stacks.get(t)
  if (known) {
    known.push(work)
    return
  }
  const stack = [work]
  stacks.set(t, stack)
  t.after(async () => {
    const errors: unknown[] = []
    for (const next of stack.reverse()) {
      try {
        await next()
      } catch (error) {
        errors.push(error)
      }
    }
    if (errors.length > 0) throw new AggregateError(errors, 'cleaning up after the test failed')
  })
}
