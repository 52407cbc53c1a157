/** Uniform in [0, 1). */
export type Random = () => number

/** A stream of its own for each purpose: what one part draws does not move what the others draw. */
export function randomStream(seed: number, purpose: string): Random {
  let a = 0x9e3779b9 ^ seed
  let b = 0x243f6a88 ^ Math.imul(seed, 0x85ebca6b)
  let c = 0xb7e15162
  let counter = 1
  for (let index = 0; index < purpose.length; index++) {
    c = Math.imul(c ^ purpose.charCodeAt(index), 0x01000193)
  }
  // sfc32 of PractRand.
  const next = () => {
    const t = (((a + b) | 0) + counter) | 0
    counter = (counter + 1) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (c << 21) | (c >>> 11)
    c = (c + t) | 0
    return (t >>> 0) / 2 ** 32
  }
  for (let warmUp = 0; warmUp < 12; warmUp++) next()
  return next
}

export function between(random: Random, min: number, max: number): number {
  return min + random() * (max - min)
}

/** Both ends included. */
export function intBetween(random: Random, min: number, max: number): number {
  return min + Math.floor(random() * (max - min + 1))
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[Math.floor(random() * from.length)]!
}
