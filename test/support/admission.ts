import assert from 'node:assert/strict'
import { type Admission, createAdmission } from '../../src/create-admission.ts'
import { type AdmissionOptions, loadOptions } from '../../src/options.ts'
import { applyAdmissionSchema } from './admission-schema.ts'
import { cleanup } from './cleanup.ts'
import { createDatabase, type TestDatabase } from './database.ts'
import { createTopic } from './kafka.ts'
import { kafkaBrokers, type Scope, uniqueName } from './parts.ts'
import { until } from './until.ts'

export const ADMISSION_SECRET = 'a secret of tests with more than 32 characters'

/** A session as the API shows it. */
export interface ShownSession {
  readonly sessionId: string
  readonly eventId: string
  readonly status: string
  readonly position: number | null
  readonly token: string | null
  readonly leaseUntil: string | null
}

export interface AdmissionUnderTest extends TestDatabase {
  readonly joinsTopic: string
  readonly changesTopic: string
  readonly group: string
  /** Starts another process's worth of it, stopped after the test at the latest. */
  start(settings?: { relay?: boolean; options?: Partial<AdmissionOptions> }): Promise<Admission>
}

const GROUP_LENGTH_MAX = 80

/** A database and topics of its own; nothing runs yet. */
export async function admissionUnderTest(
  t: Scope,
  { partitions = 3 }: { partitions?: number } = {},
): Promise<AdmissionUnderTest> {
  const database = await createDatabase(t)
  await applyAdmissionSchema(database.sql)
  const joinsTopic = await createTopic(t, { partitions })
  const changesTopic = await createTopic(t, { partitions })
  const group = uniqueName(t, GROUP_LENGTH_MAX)
  const start: AdmissionUnderTest['start'] = async ({ relay = true, options = {} } = {}) => {
    const config = loadOptions({
      DATABASE_URL: database.url,
      KAFKA_BROKERS: kafkaBrokers().join(','),
      SLUICE_ADMISSION_HTTP: '127.0.0.1:0',
      SLUICE_ADMISSION_SECRET: ADMISSION_SECRET,
    })
    const own = { joinsTopic, changesTopic, group, joinsPerSecond: null, ...options }
    const admission = createAdmission({
      config: { ...config, admission: { ...config.admission, ...own } },
      relay,
    })
    cleanup(t, () => admission.stop())
    await admission.start()
    return admission
  }
  return { ...database, joinsTopic, changesTopic, group, start }
}

/** A visitor's calls. */
export class Visitors {
  readonly #base: string

  constructor({ address }: Admission) {
    assert.ok(address)
    this.#base = `http://${address}/api/waiting-room`
  }

  async join(eventId: string, userId: string): Promise<string> {
    const answer = await fetch(`${this.#base}/sessions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ eventId, userId }),
    })
    assert.equal(answer.status, 202)
    const { sessionId } = (await answer.json()) as { sessionId: string }
    return sessionId
  }

  async look(sessionId: string): Promise<ShownSession> {
    const answer = await fetch(`${this.#base}/sessions/${sessionId}`)
    assert.equal(answer.status, 200)
    return (await answer.json()) as ShownSession
  }

  async leave(sessionId: string): Promise<ShownSession> {
    const answer = await fetch(`${this.#base}/sessions/${sessionId}/leave`, { method: 'POST' })
    assert.equal(answer.status, 200)
    return (await answer.json()) as ShownSession
  }

  async setRoom(eventId: string, settings: object): Promise<void> {
    const answer = await fetch(`${this.#base}/rooms/${eventId}`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(settings),
    })
    assert.equal(answer.status, 200)
  }

  async untilStatus(sessionId: string, status: string, deadlineMs = 30_000): Promise<ShownSession> {
    let shown: ShownSession | null = null
    const reached = async () => {
      shown = await this.look(sessionId)
      return shown.status === status
    }
    await until(reached, { deadlineMs, what: `session ${sessionId} is ${status}` })
    assert.ok(shown)
    return shown
  }
}
