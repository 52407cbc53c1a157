/** Places that were freed of late, each counted as e^(−age / 60 s), since the window was opened. */
export interface FreedWindow {
  readonly weight: number
  /** How long ago `weight` was true; null: nothing has ever been freed. */
  readonly ageMs: number | null
  /** How long ago the window was opened; null as above. */
  readonly openMs: number | null
}

const TAU_MS = 60_000
/** Below it the window says nothing any more: of one place freed, that is three minutes later. */
const WEIGHT_MIN = 0.05
/** Of fewer places than these no rate is told. */
const FREED_MIN = 3

/**
 * The window after `freed` more places. The first ones open it and are not counted: a rate counts what comes after its
 * beginning, or it would be endless at first.
 * @returns `isNew`: it begins now
 */
export function countFreed(
  window: FreedWindow,
  freed: number,
): { readonly weight: number; readonly isNew: boolean } {
  const weight = weightNow(window)
  // What opened it fades like all others.
  const opening = window.openMs === null ? 0 : faded(window.openMs)
  if (weight + opening < WEIGHT_MIN) return { weight: 0, isNew: true }
  return { weight: weight + freed, isNew: false }
}

/**
 * An exponentially weighted rate: Σ e^(−ageᵢ / τ) / τ, divided by 1 − e^(−window / τ), the share of the weight that a
 * window of that length can have; the same correction of the start as in Kingma & Ba, "Adam", 2015, §3. Without it a
 * room of ten seconds would show a sixth of its rate.
 * @param freed since the room was made
 * @returns places per second; null: fewer than three were freed, or none for long
 */
export function freedPerSecond(window: FreedWindow, freed: number): number | null {
  if (window.openMs === null || freed < FREED_MIN) return null
  const weight = weightNow(window)
  const share = 1 - faded(window.openMs)
  if (weight < WEIGHT_MIN || share <= 0) return null
  return (weight / share) * (1_000 / TAU_MS)
}

/** How long the one at this position waits, if places go on being freed as they are. 1 is next. */
export function estimatedWaitMs(position: number, perSecond: number | null): number | null {
  return perSecond === null ? null : Math.round((position / perSecond) * 1_000)
}

function weightNow({ weight, ageMs }: FreedWindow): number {
  return weight * faded(ageMs ?? 0)
}

function faded(ageMs: number): number {
  return Math.exp(-Math.max(0, ageMs) / TAU_MS)
}
