import { seededRandom } from '../../../src/demo/random.ts'

/** What a visitor is going to do. */
export type Habit =
  /** Looks when it is told of its turn, stays a while, leaves. */
  | 'guest'
  /** As a guest, and joins again at once. */
  | 'returning'
  /** Stays longer than a lease, with heartbeats, then leaves. */
  | 'staying'
  /** Looks, then is never heard of again: its lease runs out. */
  | 'lapsing'
  /** Is never heard of again after its join. */
  | 'no_show'
  /** Leaves while it waits, or so it thinks. */
  | 'impatient'

export interface Visitor {
  readonly eventId: string
  readonly userId: string
  readonly habit: Habit
  /** Between being let in and leaving; of the impatient, between the answer to the join and leaving. */
  readonly stayMs: number
  /** Sends its join to both doors at once. */
  readonly twice: boolean
  /** Which door it asks first. */
  readonly door: number
}

export interface VisitorPlanOptions {
  readonly seed: number
  readonly joins: number
  readonly rooms: readonly string[]
  /** Of guests, at most. */
  readonly stayMsMax: number
  /** Of those who stay longer, at most. */
  readonly longStayMsMax: number
}

/** Of a thousand visitors; the rest are guests. */
const HABITS: readonly (readonly [Habit, number])[] = [
  ['returning', 20],
  ['staying', 15],
  ['lapsing', 25],
  ['no_show', 25],
  ['impatient', 25],
]
const TWICE = 0.05
const IMPATIENT_MS_MAX = 3_000

/** All visitors of a campaign, one by one; they follow from the options alone. */
export function* visitorsOf(options: VisitorPlanOptions): Generator<Visitor> {
  const { seed, joins, rooms, stayMsMax, longStayMsMax } = options
  const random = seededRandom(seed)
  for (let n = 0; n < joins; n++) {
    const habit = habitOf(random() * 1_000)
    const share = random()
    const stays = {
      staying: longStayMsMax * (0.5 + share / 2),
      impatient: IMPATIENT_MS_MAX * share,
    }
    yield {
      eventId: rooms[Math.floor(random() * rooms.length)] as string,
      userId: `user-${n}`,
      habit,
      stayMs: habit in stays ? stays[habit as keyof typeof stays] : stayMsMax * (0.1 + 0.9 * share),
      twice: random() < TWICE,
      door: random() < 0.5 ? 0 : 1,
    }
  }
}

function habitOf(draw: number): Habit {
  let reached = 0
  for (const [habit, share] of HABITS) {
    reached += share
    if (draw < reached) return habit
  }
  return 'guest'
}
