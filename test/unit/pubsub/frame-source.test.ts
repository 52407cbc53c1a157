import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { SourceRecord } from '../../../src/consumer/message.ts'
import type { RecordBatch } from '../../../src/consumer/record-source.ts'
import { FrameSource } from '../../../src/pubsub/frame-source.ts'
import { AirCoreFrame, type AssignedPartition, config } from '../../../src/pubsub/index.ts'

interface Rig {
  readonly source: FrameSource
  readonly warnings: object[]
  readonly assigned: (readonly AssignedPartition[])[]
}

function rig(limits: { frames_max?: number; frames_bytes_max?: number } = {}): Rig {
  const warnings: object[] = []
  const assigned: (readonly AssignedPartition[])[] = []
  const silent = () => {}
  const source = new FrameSource({
    settings: config.local(limits),
    topic: 'worker',
    group: 'g',
    from: 'earliest',
    log: { debug: silent, info: silent, error: silent, warn: facts => warnings.push(facts) },
    listener: { assigned: partitions => assigned.push(partitions), revoked: silent },
  })
  return { source, warnings, assigned }
}

function recordOf(partition: number, offset: number, value: Buffer | null): SourceRecord {
  const place = { topic: 'worker', partition, offset: BigInt(offset) }
  return { ...place, key: null, value, headers: [], timestampMs: 0 }
}

function batchOf(
  partition: number,
  records: readonly SourceRecord[],
  nextOffset: number,
): RecordBatch {
  const end = BigInt(nextOffset)
  return { topic: 'worker', partition, epoch: 1, records, nextOffset: end, highWatermark: end }
}

/** Frames whose payload tells partition and offset. */
function numbered(partition: number, from: number, count: number): RecordBatch {
  const records = Array.from({ length: count }, (_, index) => {
    const payload = `${partition}/${from + index}`
    return recordOf(partition, from + index, AirCoreFrame.event({ type: 'T', payload }).toBinary())
  })
  return batchOf(partition, records, from + count)
}

function positions(...partitions: number[]) {
  return partitions.map(partition => ({ topic: 'worker', partition, committed: null }))
}

async function isSettled(work: Promise<unknown>): Promise<boolean> {
  let settled = false
  const note = () => {
    settled = true
  }
  work.then(note, note)
  for (let turn = 0; turn < 20; turn++) await new Promise(settle => setImmediate(settle))
  return settled
}

test('a full queue keeps a batch waiting until there is room, and nothing is lost', async () => {
  const { source } = rig({ frames_max: 3 })
  await source.assign(positions(0))
  const taking = source.take(numbered(0, 0, 10))
  assert.equal(await isSettled(taking), false)
  assert.equal(source.frames.size, 3)
  const got: string[] = []
  for await (const frame of source.frames) {
    assert.ok(source.frames.size <= 3)
    if (got.push(frame.text()) === 10) break
  }
  await taking
  assert.deepEqual(
    got,
    Array.from({ length: 10 }, (_, index) => `0/${index}`),
  )
})

test('a queue is full of few frames when they are large', async () => {
  const { source } = rig({ frames_bytes_max: 1_000 })
  await source.assign(positions(0))
  const taking = source.take(numbered(0, 0, 10))
  assert.equal(await isSettled(taking), false)
  assert.ok(source.frames.size < 5, `${source.frames.size}`)
  await source.revoke('stop', AbortSignal.timeout(1_000))
  await taking
})

test('a batch that waits for room is let go when its partition is taken away', async () => {
  const { source } = rig({ frames_max: 1 })
  await source.assign(positions(0))
  const taking = source.take(numbered(0, 0, 5))
  assert.equal(await isSettled(taking), false)
  await source.revoke('rebalance', AbortSignal.timeout(5_000))
  await taking
  assert.equal(source.frames.size, 0)
})

test('loops that share the frames get each one once, and a loop that is left gives its last back', async () => {
  const { source } = rig()
  await source.assign(positions(0, 1))
  await source.take(numbered(0, 0, 20))
  await source.take(numbered(1, 0, 20))
  const got: string[] = []
  const loop = async () => {
    for await (const frame of source.frames) {
      got.push(frame.text())
      await new Promise(settle => setImmediate(settle))
    }
  }
  for await (const frame of source.frames) {
    assert.equal(frame.text(), '0/0')
    break
  }
  const loops = [loop(), loop(), loop()]
  while (got.length < 40) await new Promise(settle => setImmediate(settle))
  await source.close()
  await Promise.all(loops)
  assert.equal(got[0], '0/0')
  assert.equal(new Set(got).size, 40)
  assert.equal(got.length, 40)
})

test('a partition that is taken away waits for the frames in work, until it is asked to hurry', async () => {
  const { source } = rig()
  await source.assign(positions(0))
  await source.take(numbered(0, 0, 2))
  const iterator = source.frames[Symbol.asyncIterator]()
  await iterator.next()
  const revoking = source.revoke('rebalance', new AbortController().signal)
  assert.equal(await isSettled(revoking), false)
  const next = iterator.next()
  await revoking
  assert.equal(await isSettled(next), false)
  await source.assign(positions(0))
  await source.take(numbered(0, 1, 1))
  assert.equal((await next).value?.text(), '0/1')
  const hurried = new AbortController()
  const again = source.revoke('rebalance', hurried.signal)
  assert.equal(await isSettled(again), false)
  hurried.abort()
  await again
})

test('what is no frame is counted, told without its bytes, and passed over', async () => {
  const { source, warnings } = rig()
  await source.assign(positions(0))
  const good = AirCoreFrame.event({ type: 'T', payload: 'good' }).toBinary()
  const records = [
    recordOf(0, 0, Buffer.from('password=hunter2, which is no frame')),
    recordOf(0, 1, null),
    recordOf(0, 2, good),
  ]
  await source.take(batchOf(0, records, 3))
  for await (const frame of source.frames) {
    assert.equal(frame.text(), 'good')
    break
  }
  assert.equal(source.bad_frames, 2)
  assert.equal(source.received, 3)
  assert.equal(warnings.length, 1)
  assert.match(JSON.stringify(warnings), /begins with other bytes/)
  assert.doesNotMatch(JSON.stringify(warnings), /hunter2/)
})

test('the listener is told which partitions go on where they were left', async () => {
  const { source, assigned } = rig()
  const committed = (partition: number, offset: bigint) => ({
    topic: 'worker',
    partition,
    committed: offset,
  })
  await source.assign([committed(0, 4n), committed(1, 4n), committed(2, 4n)])
  await source.take(numbered(0, 4, 2))
  const iterator = source.frames[Symbol.asyncIterator]()
  await iterator.next()
  void iterator.next()
  await source.revoke('rebalance', AbortSignal.abort())
  await source.assign([committed(0, 5n), committed(1, 5n), committed(3, 0n)])
  const resumed = assigned[1]!.map(({ partition, resumed }) => [partition, resumed])
  assert.deepEqual(resumed, [
    [0, true],
    [1, false],
    [3, false],
  ])
  await source.close()
})

test('closing ends every loop, also one that has not begun', async () => {
  const { source } = rig()
  const iterator = source.frames[Symbol.asyncIterator]()
  const waiting = iterator.next()
  await source.close()
  assert.equal((await waiting).done, true)
  for await (const _ of source.frames) assert.fail('a frame after the end')
  assert.equal(source.connected, false)
  await assert.rejects(source.connect(), { code: 'lifecycle' })
})
