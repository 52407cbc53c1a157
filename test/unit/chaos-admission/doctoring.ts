import type { AdmissionRule } from '../../chaos/admission/admission-rules.ts'
import type { AdmissionHappening, HappeningOf, Status } from '../../chaos/admission/history.ts'
import type { Mutable, Told } from './story.ts'

export type Doctored = readonly (readonly [rule: AdmissionRule, what: string, doctor: Doctor])[]

type Doctor = (told: Told[]) => void

/** The first of that kind about which the facts hold. */
export function found<K extends AdmissionHappening['kind']>(
  told: readonly Told[],
  kind: K,
  facts: Partial<HappeningOf<K>> = {},
): Mutable<HappeningOf<K>> {
  const isIt = (each: Told) =>
    each.kind === kind &&
    Object.entries(facts).every(([name, value]) => each[name as keyof Told] === value)
  const one = told.find(isIt)
  if (!one) throw new Error(`the story tells of no ${kind} like ${JSON.stringify(facts)}`)
  return one as Mutable<HappeningOf<K>>
}

export function without(told: Told[], gone: AdmissionHappening): void {
  told.splice(told.indexOf(gone as Told), 1)
}

/** The row in which a session came to a status. */
export const change = (told: readonly Told[], sessionId: string, status: Status) => {
  return told.find(
    each =>
      each.kind === 'session_changed' &&
      each.sessionId === sessionId &&
      each.status === status &&
      each.was !== each.status &&
      each.was !== null,
  ) as Mutable<HappeningOf<'session_changed'>>
}
