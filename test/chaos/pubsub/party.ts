/** A requester or a worker, as a process of its own: node --import tsx party.ts, with CHAOS_PARTY. */
import { openSync, writeSync } from 'node:fs'
import { describeError } from '../../../src/errors.ts'
import type { PubsubHappening } from './history.ts'
import { ANSWER_TO, type PartyAnswer, type PartyOrder, type PartySpec } from './party-spec.ts'
import { RequesterPart } from './requester-part.ts'
import { WorkerPart } from './worker-part.ts'

/** What a party's process does, whichever its role is. */
export interface Part {
  /** Resolves once connected; tries again until then. */
  join(): Promise<void>
  leave(): Promise<void>
  /** @throws when it does not come to rest */
  rest(): Promise<void>
  final(): Promise<void>
  /** Leaves for good. */
  stop(): Promise<void>
}

export interface Telling {
  /** Written at once, so that a process that is killed has told all. */
  tell(happening: PubsubHappening): void
  /** For people. */
  say(text: string): void
}

const spec = JSON.parse(process.env.CHAOS_PARTY ?? '{}') as PartySpec
const log = openSync(spec.logFile, 'a')
const telling: Telling = {
  tell: happening => void writeSync(log, `${JSON.stringify(happening)}\n`),
  say: text => void process.stderr.write(`${new Date().toISOString()} ${text}\n`),
}
const part: Part =
  spec.role === 'requester' ? new RequesterPart(spec, telling) : new WorkerPart(spec, telling)
let turn: Promise<void> = obey('join')

process.on('message', (order: PartyOrder) => {
  turn = turn.then(() => obey(order))
})
process.on('SIGTERM', () => void stop())
process.on('disconnect', () => process.exit(1))

async function obey(order: PartyOrder): Promise<void> {
  try {
    await part[order]()
    answer(ANSWER_TO[order])
  } catch (error) {
    telling.say(`${order}: ${describeError(error)}`)
    answer('failed')
  }
}

function answer(told: PartyAnswer): void {
  process.send?.(told)
}

async function stop(): Promise<void> {
  await part.stop()
  process.exit(0)
}
