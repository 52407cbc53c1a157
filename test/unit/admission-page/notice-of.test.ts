import assert from 'node:assert/strict'
import { test } from 'node:test'
import { noticeOf } from '../../../src/admission/page/notice-of.ts'
import { noticePage } from '../../../src/admission/page/notice-page.ts'
import { TooBusy } from '../../../src/admission/too-busy.ts'
import { SluiceError } from '../../../src/errors.ts'

test('whatever is thrown becomes a page that fits it', () => {
  const thrown: [unknown, number][] = [
    [new SluiceError('database', 'away', { retryable: true }), 503],
    [new SluiceError('lifecycle', 'stopped'), 503],
    [new TooBusy('full', 3_000), 503],
    [new SluiceError('options', 'no such room'), 404],
    [new SluiceError('schema', 'missing'), 500],
    [Object.assign(new Error('x'), { statusCode: 400, validation: [{}] }), 404],
    [Object.assign(new Error('x'), { statusCode: 429 }), 429],
    [Object.assign(new Error('x'), { statusCode: 503 }), 503],
    [Object.assign(new Error('x'), { statusCode: 413 }), 400],
    [new Error('x'), 500],
    ['x', 500],
  ]
  for (const [error, status] of thrown) assert.equal(noticeOf(error).status, status, String(error))
})

test('what passes by itself makes the page reload, spread over some seconds', () => {
  const away = () => noticeOf(new SluiceError('database', 'away')).retrySeconds!
  const seconds = new Set(Array.from({ length: 200 }, away))
  assert.ok(seconds.size > 1)
  for (const wait of seconds) assert.ok(wait >= 5 && wait <= 10, String(wait))
  assert.ok(noticeOf(new TooBusy('full', 20_000)).retrySeconds! >= 20)
  const limited = Object.assign(new Error('x'), {
    statusCode: 429,
    headers: { 'retry-after': '12' },
  })
  assert.ok(noticeOf(limited).retrySeconds! >= 12)
  assert.equal(noticeOf(new Error('x')).retrySeconds, null)
})

test('nothing of the inside is told', () => {
  const secret = 'postgres://user:secret@host/db'
  for (const error of [new Error(secret), new SluiceError('database', secret)]) {
    assert.doesNotMatch(noticePage(noticeOf(error), 'v').text, /secret/)
  }
})
