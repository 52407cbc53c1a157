import {
  BadMessage,
  dispatcher,
  type EventDispatcher,
  jsonCodec,
  type Log,
} from '../../src/consumer/index.ts' // 'sluice-outbox/consumer' in your project

export const OP = 'controller.kafka_consumer.ConsumeClaim'
export const USER_CREATED = 'USER_CREATED'

interface UserCreatedEventPayload {
  readonly userId: string
  readonly name: string
}

/** The value comes from elsewhere: nothing is believed of it. */
function userCreated(value: unknown): UserCreatedEventPayload {
  const { userId, name } = (value ?? {}) as Record<string, unknown>
  if (typeof userId !== 'string' || typeof name !== 'string') {
    throw new BadMessage('userId and name must be strings')
  }
  return { userId, name }
}

/** What is done with each type of event. The row is committed together with the note that the event was handled. */
export function userEvents(log: Log): EventDispatcher {
  return dispatcher({ unknown: 'bad', log, op: OP }).on(
    USER_CREATED,
    jsonCodec(userCreated),
    async ({ value: { userId, name } }, { sql }) => {
      await sql`insert into users.accounts (user_id, name) values (${userId}, ${name})`
    },
  )
}
