import type { ListedMutant } from './mutant-list.ts'

const PRODUCER = 'src/kafka/client-producer.ts'
const BATCH = 'src/kafka/publish-batch.ts'
const RECORD = 'src/kafka/record.ts'
const THREAD = 'src/relay/thread-message.ts'
const FAULT = 'src/kafka/fault.ts'

/** What is sent, and what is made of the answers. */
export const mutantsOfPublishing: readonly ListedMutant[] = [
  {
    name: 'headers are dropped',
    scenario: 'calm',
    file: RECORD,
    find: "const headers = event.headersJson === '{}' ? {} : rowHeaders(event.headersJson)",
    replace: 'const headers: Record<string, string> = {}',
  },
  {
    name: 'a header of the row wins over the event type',
    scenario: 'calm',
    file: RECORD,
    find: 'headers.event_type = event.eventType',
    replace: 'headers.event_type ??= event.eventType',
  },
  {
    name: 'another event id is sent than the row has',
    scenario: 'calm',
    file: RECORD,
    find: 'headers.event_id = event.eventId',
    replace: 'headers.event_id = event.id',
  },
  {
    name: 'a tombstone is sent as the text null',
    scenario: 'calm',
    file: RECORD,
    find: 'if (payload === null) return null',
    replace: "if (payload === null) return Buffer.from('null')",
  },
  {
    name: 'the empty key is sent as no key',
    scenario: 'calm',
    file: RECORD,
    find: 'record: { key: event.key, value, headers }',
    replace: 'record: { key: event.key || null, value, headers }',
  },
  {
    name: 'bytes are sent as text',
    scenario: 'calm',
    file: RECORD,
    find: 'if (Buffer.isBuffer(payload)) return payload',
    replace: "if (Buffer.isBuffer(payload)) return Buffer.from(payload.toString('utf8'))",
  },
  {
    name: 'after a tombstone payloads are cut at the wrong place',
    scenario: 'calm',
    file: THREAD,
    find: 'if (end !== NO_PAYLOAD) start = end',
    replace: 'start = Math.max(0, end)',
  },
  {
    name: 'a refusal comes out of the thread as an acknowledgement',
    scenario: 'calm',
    file: THREAD,
    find: 'if (found !== undefined) return found',
    replace: "if (found?.kind === 'unknown') return found",
  },
  {
    name: 'keys are hashed in another way',
    scenario: 'calm',
    file: 'src/kafka/partitioner.ts',
    find: 'const M = 0x5bd1e995',
    replace: 'const M = 0x5bd1e997',
  },
  {
    name: 'every topic is taken to have one partition',
    scenario: 'calm',
    file: 'src/kafka/kafkajs-session.ts',
    find: 'this.#note(topic, partitions)\n      return partitions',
    replace: 'return 1',
  },
  {
    name: 'the neighbours of a poison event are buried with it',
    scenario: 'refusals',
    file: PRODUCER,
    find: 'if (others.length === 0) {\n      work.reject(only as number, fault)',
    replace:
      'if (only !== undefined) {\n      for (const index of chunk) work.reject(index, fault)',
  },
  {
    name: 'what follows a refused event counts as acknowledged',
    scenario: 'calm',
    file: PRODUCER,
    find: 'work.reject(only as number, fault)\n',
    replace:
      'work.reject(only as number, fault)\n      for (const index of list.indices) if (work.isOpen(index)) work.ack(index, list.partition, 0n)\n      void others\n',
  },
  {
    name: 'an event that was not tried counts as acknowledged',
    scenario: 'calm',
    file: BATCH,
    find: 'outcome => outcome ?? HELD',
    replace: "outcome => outcome ?? { kind: 'acked', partition: 0, offset: '0' }",
  },
  {
    name: 'all records of a request get the offset of the first',
    scenario: 'calm',
    file: PRODUCER,
    find: 'work.ack(index, partition, baseOffset + BigInt(nth))',
    replace: 'work.ack(index, partition, baseOffset + BigInt(nth - nth))',
  },
  {
    name: 'a record that is too large is taken for a fault of the way',
    scenario: 'calm',
    file: FAULT,
    find: "  ['MESSAGE_TOO_LARGE', { code: 'message_too_large', permanent: true }],\n",
    replace: '',
  },
  {
    name: 'a key is not held after a refusal',
    scenario: 'refusals',
    file: BATCH,
    find: 'return from === undefined || index < from',
    replace: 'return from !== -1',
  },
  {
    name: 'a refused timestamp is the event’s fault, for good',
    scenario: 'refusals',
    file: FAULT,
    find: 'const event = EVENT_FAULTS.get(name)',
    replace:
      "const event = EVENT_FAULTS.get(name === 'INVALID_TIMESTAMP' ? 'RECORD_LIST_TOO_LARGE' : name)",
  },
  {
    name: 'a time-out is blamed on the event',
    scenario: 'kafka',
    file: FAULT,
    find: "return { of: 'way', code, message, fault: 'broker', scope: 'cluster' }",
    replace: "return { of: 'event', code, message, permanent: false } as never",
  },
  {
    name: 'a missing topic is blamed on the event',
    scenario: 'topic',
    file: FAULT,
    find: "  ['INVALID_RECORD', {",
    replace:
      "  ['UNKNOWN_TOPIC_OR_PARTITION', { code: 'unknown_topic', permanent: true }],\n  ['INVALID_RECORD', {",
  },
]
