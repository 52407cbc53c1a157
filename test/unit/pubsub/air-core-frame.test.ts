import assert from 'node:assert/strict'
import { test } from 'node:test'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { SluiceError } from '../../../src/errors.ts'
import { AirCoreFrame, BadFrame, type FrameFields } from '../../../src/pubsub/index.ts'

const ID = '01234567-89ab-cdef-0123-456789abcdef'
const OTHER = 'fedcba98-7654-3210-fedc-ba9876543210'

/** Of version 1.0, written down once: a frame that lies in a topic must stay readable. */
const GOLDEN: readonly (readonly [FrameFields, string])[] = [
  [
    {
      id: ID,
      kind: 'request',
      type: 'AddOne',
      key: 'k-ä',
      correlation_id: OTHER,
      reply_to: { topic: 'replies', partition: 258 },
      last: true,
      error: null,
      at: 1_700_000_000_123,
      payload: Buffer.from('{"n":1}'),
    },
    '4143461a0100010f0000005700000007329494a7' +
      '0123456789abcdef0123456789abcdef' +
      '0000018bcfe5687b' +
      '00064164644f6e65' +
      '00046b2dc3a4' +
      'fedcba9876543210fedcba9876543210' +
      '0000010200077265706c696573' +
      '7b226e223a317d',
  ],
  [
    {
      id: OTHER,
      kind: 'reply',
      type: 'AddOne',
      key: null,
      correlation_id: ID,
      reply_to: { topic: 'replies', partition: 0 },
      last: false,
      error: { code: 'no_stock', message: 'none left' },
      at: 0,
      payload: Buffer.alloc(0),
    },
    '4143461a0100021c0000006600000000422437cc' +
      'fedcba9876543210fedcba9876543210' +
      '0000000000000000' +
      '00064164644f6e65' +
      '0123456789abcdef0123456789abcdef' +
      '0000000000077265706c696573' +
      '00086e6f5f73746f636b00096e6f6e65206c656674',
  ],
  [
    {
      id: ID,
      kind: 'event',
      type: 'T',
      key: '',
      correlation_id: null,
      reply_to: null,
      last: true,
      error: null,
      at: 1,
      payload: Buffer.from([0, 255]),
    },
    '4143461a010003030000003100000002300286bd' +
      '0123456789abcdef0123456789abcdef' +
      '0000000000000001' +
      '000154' +
      '0000' +
      '00ff',
  ],
]

function fieldsOf(frame: AirCoreFrame): FrameFields {
  return { ...frame, payload: Buffer.from(frame.payload) }
}

/** Bytes with a checksum that fits. */
function sealed(bytes: Buffer): Buffer {
  bytes.writeUInt32BE(crc32(bytes.subarray(20), crc32(bytes.subarray(0, 16))), 16)
  return bytes
}

function sample(): Buffer {
  return Buffer.from(GOLDEN[0]![1], 'hex')
}

function reasonOf(bytes: Uint8Array): string {
  try {
    AirCoreFrame.fromBinary(bytes)
  } catch (error) {
    assert.ok(error instanceof BadFrame, String(error))
    assert.equal(error.name, 'BadFrame')
    return error.message
  }
  return 'a frame'
}

const text = (bytesMax: number) =>
  fc.string({ unit: 'binary', maxLength: bytesMax }).filter(each => {
    return !/\p{Surrogate}/u.test(each) && Buffer.byteLength(each) <= bytesMax
  })

const frames = fc
  .record({
    id: fc.uuid(),
    kind: fc.constantFrom('request', 'reply', 'event'),
    type: text(512).filter(each => each !== ''),
    key: fc.option(text(2_000)),
    correlation_id: fc.option(fc.uuid()),
    reply_to: fc.option(
      fc.record({
        topic: text(249).filter(each => each !== ''),
        partition: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
      }),
    ),
    last: fc.boolean(),
    error: fc.option(
      fc.record({ code: text(255).filter(each => each !== ''), message: text(900) }),
    ),
    at: fc.integer({ min: 0, max: 8_640_000_000_000_000 }),
    payload: fc.uint8Array({ maxLength: 5_000 }),
  })
  .map(fields => {
    const error = fields.kind === 'reply' ? fields.error : null
    return new AirCoreFrame({ ...fields, error } as FrameFields)
  })

test('the bytes of version 1 are those that were written down', () => {
  for (const [fields, hex] of GOLDEN) {
    assert.equal(new AirCoreFrame(fields).toBinary().toString('hex'), hex)
    assert.deepEqual(fieldsOf(AirCoreFrame.fromBinary(Buffer.from(hex, 'hex'))), fields)
  }
})

test('any frame comes out of its bytes as it was', () => {
  fc.assert(
    fc.property(frames, frame => {
      const read = AirCoreFrame.fromBinary(frame.toBinary())
      assert.deepEqual(fieldsOf(read), fieldsOf(frame))
    }),
    { numRuns: 300 },
  )
})

test('a text that begins with a byte order mark keeps it', () => {
  const frame = AirCoreFrame.event({ type: '\ufeffT', key: '\ufeff' })
  const read = AirCoreFrame.fromBinary(frame.toBinary())
  assert.equal(read.type, '\ufeffT')
  assert.equal(read.key, '\ufeff')
})

test('every truncation and every lengthening of a frame is a bad frame', () => {
  const bytes = sample()
  for (let length = 0; length < bytes.length; length++) {
    assert.notEqual(reasonOf(bytes.subarray(0, length)), 'a frame')
  }
  assert.match(reasonOf(Buffer.concat([bytes, Buffer.alloc(1)])), /lengths .* do not fit/)
})

test('every change of a single byte is found', () => {
  const bytes = sample()
  for (let at = 0; at < bytes.length; at++) {
    for (let value = 0; value < 256; value++) {
      if (bytes[at] === value) continue
      const changed = Buffer.from(bytes)
      changed[at] = value
      assert.notEqual(reasonOf(changed), 'a frame', `byte ${at} as ${value}`)
    }
  }
})

test('a changed bit under a checksum that fits is a frame or a bad frame, and nothing else', () => {
  for (const [, hex] of GOLDEN) {
    const bytes = Buffer.from(hex, 'hex')
    for (let at = 0; at < bytes.length; at++) {
      for (let bit = 1; bit < 256; bit *= 2) {
        const changed = Buffer.from(bytes)
        changed[at] = (bytes[at] as number) ^ bit
        reasonOf(sealed(changed))
      }
    }
  }
})

test('any bytes are a frame or a bad frame, and nothing else', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 200 }), tail => {
      reasonOf(tail)
      reasonOf(sealed(Buffer.concat([sample().subarray(0, 20), tail])))
    }),
    { numRuns: 500 },
  )
})

test('what is wrong with bad bytes is told, and not what they say', () => {
  assert.match(reasonOf(Buffer.from('short')), /too short for a frame: 5 bytes, 46 at least/)
  assert.match(
    reasonOf(Buffer.from('{"secret":"hunter2", "more":"of it"}')),
    /begins with other bytes/,
  )
  assert.doesNotMatch(reasonOf(Buffer.from('{"secret":"hunter2", "more":"of it"}')), /hunter2/)
  const newer = sample()
  newer[4] = 7
  newer[5] = 3
  assert.match(reasonOf(newer), /version 7\.3 .* only 1\.x/)
  const kind = sample()
  kind[6] = 9
  assert.match(reasonOf(sealed(kind)), /kind 9 .* unknown/)
  const encoding = sample()
  encoding[46] = 0xff
  assert.match(reasonOf(sealed(encoding)), /type of the frame is not UTF-8 \(6 bytes\)/)
  const within = sample()
  within.writeUInt16BE(60_000, 44)
  assert.match(reasonOf(sealed(within)), /header of the frame ends within its type/)
})

test('header fields that a later minor version has appended are passed over', () => {
  const bytes = sample()
  const headerLength = bytes.readUInt32BE(8)
  const later = Buffer.concat([
    bytes.subarray(0, headerLength),
    Buffer.from('a new field'),
    bytes.subarray(headerLength),
  ])
  later[5] = 1
  later[7] = (later[7] as number) | 0x80
  later.writeUInt32BE(headerLength + 11, 8)
  assert.deepEqual(fieldsOf(AirCoreFrame.fromBinary(sealed(later))), GOLDEN[0]![0])
})

test('a reply goes to where its request came from', () => {
  const request = new AirCoreFrame(GOLDEN[0]![0])
  const reply = AirCoreFrame.reply(request, 'yes', { last: false })
  assert.equal(reply.kind, 'reply')
  assert.equal(reply.correlation_id, request.correlation_id)
  assert.deepEqual(reply.reply_to, request.reply_to)
  assert.equal(reply.type, 'AddOne')
  assert.equal(reply.text(), 'yes')
  assert.equal(reply.last, false)
  assert.notEqual(reply.id, request.id)
})

test('a failure carries code and message, whatever the message is', () => {
  const request = new AirCoreFrame(GOLDEN[0]![0])
  const failed = AirCoreFrame.fail(request, { code: 'late', message: `\ud800${'x'.repeat(9_000)}` })
  const read = AirCoreFrame.fromBinary(failed.toBinary())
  assert.equal(read.error?.code, 'late')
  assert.equal(read.error?.message.length, 2_000)
  assert.equal(read.last, true)
})

test('a frame that names no place for a reply cannot be replied to', () => {
  const request = AirCoreFrame.request({ type: 'T' })
  assert.throws(() => AirCoreFrame.reply(request, ''), /names no place for a reply/)
})

test('a frame does not change, neither itself nor through the bytes it was made of', () => {
  const payload = Buffer.from('before')
  const frame = AirCoreFrame.request({ type: 'T', payload })
  payload.write('behind')
  assert.equal(frame.text(), 'before')
  assert.throws(() => {
    ;(frame as { type: string }).type = 'U'
  }, TypeError)
  const bytes = frame.toBinary()
  const read = AirCoreFrame.fromBinary(bytes)
  bytes.fill(0)
  assert.equal(read.text(), 'before')
})

test('a field that cannot be sent is named, and its value is not told', () => {
  const refused: readonly (readonly [Partial<FrameFields>, RegExp])[] = [
    [{ id: 'secret' }, /^id of a frame must be a UUID, it is a text of 6 characters$/],
    [{ type: '' }, /^type of a frame must be a text of 1 to 512 bytes/],
    [{ type: 'ä'.repeat(257) }, /^type of a frame/],
    [{ key: 'k'.repeat(65_536) }, /^key of a frame/],
    [{ key: 'half \ud800' }, /surrogate/],
    [{ at: 1.5 }, /^at of a frame/],
    [{ at: -1 }, /^at of a frame/],
    [{ kind: 'other' as never }, /^kind of a frame must be one of/],
    [{ payload: 'text' as never }, /^payload of a frame must be a Uint8Array/],
    [{ correlation_id: 'x' }, /^correlation_id/],
    [{ reply_to: { topic: '', partition: 0 } }, /^reply_to\.topic/],
    [{ reply_to: { topic: 't', partition: -1 } }, /^reply_to\.partition/],
    [{ error: { code: 'c', message: '' } }, /^error of a frame must be null in a frame of kind/],
  ]
  for (const [changes, message] of refused) {
    assert.throws(
      () => AirCoreFrame.request({ type: 'T' }).with(changes),
      error => {
        assert.ok(error instanceof SluiceError)
        assert.equal(error.code, 'event')
        assert.match(error.message, message)
        assert.doesNotMatch(error.message, /secret/)
        return true
      },
    )
  }
})
