import assert from 'node:assert/strict'
import { test } from 'node:test'
import type { RecordHeader } from '../../../src/consumer/message.ts'
import { headersFromJson, headersToJson } from '../../../src/waiting-room/task-headers.ts'

const header = (name: string, value: string | Buffer | null): RecordHeader => ({
  name,
  value: typeof value === 'string' ? Buffer.from(value) : value,
})

test('headers come back as they were, whatever bytes they hold', () => {
  const headers = [
    header('plain', 'text'),
    header('plain', 'the same name again'),
    header('empty', ''),
    header('none', null),
    header('latin-1', Buffer.from([0xfc, 0xe4])),
    header('nul', 'a\0b'),
    header('nul\0in the name', 'x'),
    header('', 'no name'),
    header('__proto__', 'x'),
    header('bom', Buffer.from([0xef, 0xbb, 0xbf, 0x61])),
    header('surrogate, as bytes', Buffer.from([0xed, 0xa0, 0x80])),
  ]
  const json = headersToJson(headers)
  assert.ok(!json.includes('\\u0000'), 'jsonb refuses a NUL')
  assert.deepEqual(headersFromJson(JSON.parse(json)), headers)
})

test('readable headers stay readable', () => {
  assert.equal(
    headersToJson([header('a', 'é'), header('b', null), header('c', Buffer.from([255]))]),
    '[["a","é"],["b",null],["c",{"base64":"/w=="}]]',
  )
})

test('what is no list of headers is refused', () => {
  for (const json of [null, {}, [['a']], [['a', 1]], ['a'], [['a', { base64: 1 }]]]) {
    assert.throws(() => headersFromJson(json), TypeError)
  }
})
