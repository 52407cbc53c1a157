import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Screen } from '../../../src/demo/screen.ts'

function target(isTTY: boolean, columns = 40) {
  const written: string[] = []
  return { isTTY, columns, written, write: (text: string) => written.push(text) }
}

test('off a terminal every progress line is a line of its own, without escape codes', () => {
  const out = target(false)
  const screen = new Screen(out, {})
  screen.progress('one')
  screen.progress('two')
  screen.line(screen.style('red', 'three'))
  assert.equal(out.written.join(''), 'one\ntwo\nthree\n')
})

test('on a terminal the progress line is rewritten in place and never wraps', () => {
  const out = target(true, 10)
  const screen = new Screen(out, {})
  screen.progress('0123456789abcdef')
  assert.equal(out.written.join(''), '\r\u001b[2K012345678')
})

test('a line on a terminal stands above the progress line', () => {
  const out = target(true)
  const screen = new Screen(out, { NO_COLOR: '1' })
  screen.progress('progress')
  screen.line('note')
  assert.equal(out.written.join('').split('\r\u001b[2K').at(-1), 'note\nprogress')
})

test('NO_COLOR is respected', () => {
  assert.equal(new Screen(target(true), { NO_COLOR: '1' }).style('red', 'x'), 'x')
  assert.notEqual(new Screen(target(true), {}).style('red', 'x'), 'x')
})
