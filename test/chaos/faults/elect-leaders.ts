import { once } from 'node:events'
import { connect } from 'node:net'
import { withDeadline } from '../../../src/internal/deadline.ts'
import { kafkaFrames } from './kafka-frame.ts'

const ELECT_LEADERS = 43
/** The last one without the compact encoding. */
const VERSION = 1
const PREFERRED = 0
const TIMEOUT_MS = 10_000
const ERROR_CODE_AT = 12
/** What Kafka says when each partition has its preferred leader already. */
const ELECTION_NOT_NEEDED = 84

/** Gives each partition its preferred leader, which is the first of its replicas. kafkajs cannot ask for that. */
export async function electPreferredLeaders(
  broker: string,
  topic: string,
  partitions: readonly number[],
): Promise<void> {
  const [host, port] = broker.split(':')
  const socket = connect(Number(port), host)
  try {
    await once(socket, 'connect')
    const answers = kafkaFrames()
    const answered = new Promise<Buffer>((settle, reject) => {
      socket.on('data', bytes => {
        const [frame] = answers.push(bytes)
        if (frame) settle(frame)
      })
      socket.once('error', reject)
      socket.once('close', () => reject(new Error('the broker has closed the connection')))
    })
    socket.write(request(topic, partitions))
    const late = () => new Error(`no election of leaders within ${TIMEOUT_MS} ms`)
    const code = (await withDeadline(answered, TIMEOUT_MS, late)).readInt16BE(ERROR_CODE_AT)
    if (code !== 0 && code !== ELECTION_NOT_NEEDED) {
      throw new Error(`the election of leaders failed with Kafka's error ${code}`)
    }
  } finally {
    socket.destroy()
  }
}

function request(topic: string, partitions: readonly number[]): Buffer {
  const body = Buffer.concat([
    int16(ELECT_LEADERS),
    int16(VERSION),
    int32(1),
    text('sluice-faults'),
    Buffer.from([PREFERRED]),
    int32(1),
    text(topic),
    int32(partitions.length),
    ...partitions.map(int32),
    int32(TIMEOUT_MS),
  ])
  return Buffer.concat([int32(body.length), body])
}

function int16(value: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(value)
  return bytes
}

function int32(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(value)
  return bytes
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value)
  return Buffer.concat([int16(bytes.length), bytes])
}
