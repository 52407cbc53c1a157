import assert from 'node:assert/strict'
import { test } from 'node:test'
import { kafkaFrames, readRequest } from '../chaos/faults/kafka-frame.ts'
import { startupMessages, textsOf, typedMessages } from '../chaos/faults/postgres-wire.ts'

/** A frame of Kafka's: length, then the rest as hexadecimal text. */
function frame(hex: string): Buffer {
  const body = Buffer.from(hex.replaceAll(' ', ''), 'hex')
  const length = Buffer.alloc(4)
  length.writeInt32BE(body.length)
  return Buffer.concat([length, body])
}

const hex = (text: string) => Buffer.from(text).toString('hex')

test('frames come out whole however the bytes are cut', () => {
  const frames = [frame('0012 0003'), frame('00'.repeat(3_000)), frame('01'), frame('')]
  const stream = Buffer.concat(frames)
  for (const size of [1, 3, 7, 1_000, stream.length]) {
    const splitter = kafkaFrames()
    const found: Buffer[] = []
    for (let at = 0; at < stream.length; at += size) {
      found.push(...splitter.push(stream.subarray(at, at + size)))
    }
    assert.deepEqual(found, frames, `in pieces of ${size}`)
  }
})

test('a produce request tells its topics in the old encoding and in the compact one', () => {
  // api 0, version 7, correlation 5, client "c", no transaction, acks -1, timeout, two topics.
  const partition = '00000000 00000003 aabbcc'
  const topics = ['a', 'topic'].map(
    name => `${name.length.toString(16).padStart(4, '0')} ${hex(name)} 00000001 ${partition}`,
  )
  const old = `0000 0007 00000005 0001 63 ffff ffff 00007530 00000002 ${topics.join('')}`
  const head = { api: 0, correlationId: 5 }
  assert.deepEqual(readRequest(frame(old)), {
    ...head,
    version: 7,
    topics: ['a', 'topic'],
    answered: true,
  })
  // version 9: tags after the client, compact strings, arrays and bytes, tags after each of them.
  const compact = ['a', 'topic'].map(
    name => `0${name.length + 1} ${hex(name)} 02 00000000 04 aabbcc 00 00`,
  )
  const young = `0000 0009 00000005 0001 63 00 00 0000 00007530 03 ${compact.join('')} 00`
  assert.deepEqual(readRequest(frame(young)), {
    ...head,
    version: 9,
    topics: ['a', 'topic'],
    answered: false,
  })
})

test('messages of PostgreSQL are cut at their own length, with and without a type', () => {
  const startup = Buffer.from('0000000804d2162f', 'hex')
  assert.deepEqual(startupMessages().push(startup), [startup])
  const parse = Buffer.from(`500000000f 00${hex('select')} 00 0000`.replaceAll(' ', ''), 'hex')
  assert.equal(parse.length, 1 + 4 + 1 + 6 + 1 + 2)
  parse.writeInt32BE(parse.length - 1, 1)
  const sync = Buffer.from('5300000004', 'hex')
  assert.deepEqual(typedMessages().push(Buffer.concat([parse, sync])), [parse, sync])
  assert.deepEqual(textsOf(parse, 2), ['', 'select'])
})
