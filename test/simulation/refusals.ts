import type { EventRow } from './event-rows.ts'
import type { EventRecord } from './ledger.ts'
import type { World } from './world.ts'

/** Whether each recorded refusal was the event's own fault: an outage must never cost an attempt. */
export class Refusals {
  readonly #world: World

  constructor(world: World) {
    this.#world = world
  }

  retried(record: EventRecord, reason: string): void {
    record.refusalsRecorded++
    this.#mustBeRefused(record, reason)
  }

  buried({ record, expiresMs }: EventRow, reason: string, attempts: number, blocks: boolean): void {
    const { server, ledger, plan } = this.#world
    const { eventId, topic, key, permanent } = record.plan
    record.end = 'dead'
    if (!blocks && key !== null) record.diedUnheld = true
    if (reason === 'expired') {
      if (expiresMs > server.nowMs)
        ledger.violation(`blame: ${eventId} was buried before it expired`)
      return
    }
    if (reason === 'invalid_topic') {
      if (topic !== '__internal') ledger.violation(`blame: ${eventId} was buried for a legal topic`)
      return
    }
    record.refusalsRecorded++
    this.#mustBeRefused(record, reason)
    if (!permanent && attempts < plan.relay.attemptsMax) {
      ledger.violation(`blame: ${eventId} was buried after ${attempts} attempts`)
    }
  }

  #mustBeRefused({ plan, refusalsRecorded, refusedByBroker }: EventRecord, reason: string): void {
    if (reason === 'refused' && refusalsRecorded <= refusedByBroker) return
    this.#world.ledger.violation(
      `blame: ${plan.eventId} has ${refusalsRecorded} refusals recorded (${reason}), the broker refused it ` +
        `${refusedByBroker} times`,
    )
  }
}
