import type { Admin, Kafka } from 'kafkajs'
import { SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { type KafkaConnection, openKafka } from '../kafka/connection.ts'

/** One request. */
const REQUEST_TIMEOUT_MS = 5_000
/** Everything that a command asks an administrator's connection for. */
const ADMIN_TIMEOUT_MS = 20_000
const CLOSE_TIMEOUT_MS = 2_000

/** A moved leader or a coordinator that is just being made is asked for again. */
export const RETRY = {
  retries: 4,
  initialRetryTime: 200,
  maxRetryTime: 1_000,
  factor: 0,
  multiplier: 2,
}

export function openOperatorKafka(connection: KafkaConnection): Kafka {
  return openKafka(connection, REQUEST_TIMEOUT_MS)
}

/**
 * Runs `work` on an administrator's connection, which is closed afterwards.
 * @throws SluiceError `broker`: no contact, a refusal, or no end within 20 s
 */
export async function withAdmin<T>(
  kafka: Kafka,
  what: string,
  work: (admin: Admin) => Promise<T>,
): Promise<T> {
  const admin = kafka.admin({ retry: RETRY })
  const late = () => new Error(`no answer from Kafka within ${ADMIN_TIMEOUT_MS / 1_000} s`)
  const working = async () => {
    await admin.connect()
    return work(admin)
  }
  try {
    return await withDeadline(working(), ADMIN_TIMEOUT_MS, late)
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    throw new SluiceError('broker', `${what} failed`, { cause, retryable: true })
  } finally {
    await closed(admin)
  }
}

/** Closes a client; kafkajs can wait for ever for a broker that is gone. Never rejects. */
export async function closed(client: { disconnect(): Promise<void> }): Promise<void> {
  const late = () => new Error(`not closed within ${CLOSE_TIMEOUT_MS} ms`)
  await withDeadline(client.disconnect(), CLOSE_TIMEOUT_MS, late).catch(() => {})
}
