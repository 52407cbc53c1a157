import assert from 'node:assert/strict'
import { Writable } from 'node:stream'
import { test } from 'node:test'
import { EventStream, readLastEventId } from '../../../src/admission/http/event-stream.ts'

function client({ reads = true } = {}) {
  const chunks: string[] = []
  const to = new Writable({
    write(chunk, _encoding, done) {
      chunks.push(String(chunk))
      if (reads) done()
    },
  })
  return { to, text: () => chunks.join('') }
}

test('a stream tells first when to come back, then numbered events', () => {
  const { to, text } = client()
  const stream = new EventStream(to, 0)
  stream.send('position', { position: 3 })
  stream.send('ended', { status: 'LEFT' }, '-end')
  stream.end()
  const [retry, ...events] = text().split(/(?<=\n\n)/)
  assert.match(retry ?? '', /^retry: [1-5]\d{3}\n\n$/)
  assert.equal(
    events.join(''),
    'id: 1\nevent: position\ndata: {"position":3}\n\n' +
      'id: 2-end\nevent: ended\ndata: {"status":"LEFT"}\n\n',
  )
  assert.equal(stream.closed, true)
})

test('the numbers go on from the last event that the client got before', () => {
  const { to, text } = client()
  new EventStream(to, 41).send('snapshot', {})
  assert.match(text(), /^id: 42$/m)
})

test('no text of an event can end it or begin another one', () => {
  const { to, text } = client()
  new EventStream(to, 0).send('snapshot', { eventId: 'a\n\nevent: active\rdata: {}\u2028' })
  const [, event = ''] = text().split('\n\n')
  assert.equal(event.split(/\r|\n/).length, 3)
})

test('a client that does not read is cut off, and what is sent to it after is dropped', () => {
  const { to } = client({ reads: false })
  const stream = new EventStream(to, 0)
  const kibibyte = { text: 'x'.repeat(1_024) }
  for (let sent = 0; sent < 60; sent++) stream.send('position', kibibyte)
  assert.equal(stream.closed, false)
  for (let sent = 0; sent < 10; sent++) stream.send('position', kibibyte)
  assert.equal(to.destroyed, true)
  stream.send('position', kibibyte)
  stream.end('bye')
  assert.ok(to.writableLength < 70 * 1_024)
})

test('a silent stream gets a comment after 15 seconds, a busy one does not', t => {
  let nowMs = 0
  t.mock.method(process.hrtime, 'bigint', () => BigInt(nowMs) * 1_000_000n)
  const { to, text } = client()
  const stream = new EventStream(to, 0)
  nowMs = 14_999
  stream.beat()
  assert.equal(text().includes('still here'), false)
  nowMs = 15_000
  stream.beat()
  nowMs = 16_000
  stream.beat()
  assert.equal(text().split(': still here\n\n').length, 2)
})

test('the last event id is read as far as it is one of ours', () => {
  assert.deepEqual(readLastEventId('17'), { id: 17, ended: false })
  assert.deepEqual(readLastEventId('17-end'), { id: 17, ended: true })
  for (const odd of [undefined, '', 'x', '-1', '1e9', '9'.repeat(16), '1-end\n', '1 -end']) {
    assert.deepEqual(readLastEventId(odd), { id: 0, ended: false }, String(odd))
  }
})
