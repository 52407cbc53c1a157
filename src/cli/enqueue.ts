import { type Command, InvalidArgumentError, Option } from 'commander'
import { SluiceError } from '../errors.ts'
import { withDeadline } from '../internal/deadline.ts'
import { enqueue } from '../outbox/enqueue.ts'
import type { NewEvent } from '../outbox/new-event.ts'
import { withConnection } from '../postgres/short-connection.ts'
import type { CliContext } from './context.ts'

interface EnqueueFlags {
  readonly topic: string
  readonly key?: string
  readonly type: string
  readonly payload?: string
  readonly tombstone?: true
  readonly header: Readonly<Record<string, string>>
  readonly json?: true
}

const WRITE_TIMEOUT_MS = 15_000

export function register(program: Command, context: CliContext): void {
  program
    .command('enqueue')
    .description('write one event to the outbox in a transaction of its own; prints its event_id')
    .requiredOption('--topic <topic>', 'Kafka topic')
    .requiredOption('--type <type>', 'event type, such as OrderPlaced')
    .option('--key <key>', 'order is kept per topic and key; left out: no order is wanted')
    .addOption(
      new Option('--payload <json>', 'JSON text, published verbatim').conflicts('tombstone'),
    )
    .option('--tombstone', 'no value, which deletes the key from a compacted topic')
    .option('--header <name=value...>', 'record headers', addHeader, {})
    .option('--json', 'print {"event_id": …}')
    .action(async (flags: EnqueueFlags, command: Command) => {
      if (flags.payload === undefined && !flags.tombstone) {
        command.error('error: give --payload <json>, or --tombstone for an event without a value')
      }
      const eventId = await write(context.loadOptions().databaseUrl, eventOf(flags))
      const line = flags.json ? JSON.stringify({ event_id: eventId }) : eventId
      context.stdout.write(`${line}\n`)
    })
}

function addHeader(
  given: string,
  headers: Readonly<Record<string, string>>,
): Record<string, string> {
  const at = given.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('Write name=value.')
  return { ...headers, [given.slice(0, at)]: given.slice(at + 1) }
}

function eventOf({ topic, key, type, payload, header }: EnqueueFlags): NewEvent {
  return { topic, key, eventType: type, payloadJson: payload, headers: header }
}

async function write(databaseUrl: string, event: NewEvent): Promise<string> {
  try {
    return await withConnection(databaseUrl, 'sluice enqueue', sql =>
      withDeadline(
        sql.begin(tx => enqueue(tx, event)),
        WRITE_TIMEOUT_MS,
        () => new Error(`no answer from PostgreSQL within ${WRITE_TIMEOUT_MS} ms`),
      ),
    )
  } catch (cause) {
    if (cause instanceof SluiceError) throw cause
    throw new SluiceError('database', 'writing the event failed', { cause })
  }
}
