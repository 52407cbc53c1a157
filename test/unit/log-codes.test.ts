import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { CONSUMER_LOG_CODES } from '../../src/telemetry/consumer-log-codes.ts'

const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const page = readFileSync(root('docs/log-codes.md'), 'utf8')
const rows = page.split('\n').flatMap(line => {
  const [, code, level, text, meaning, cure] = line.split('|').map(cell => cell.trim())
  return code?.startsWith('`TWR') ? [{ code: code.slice(1, -1), level, text, meaning, cure }] : []
})
const LEVELS: Readonly<Record<string, string>> = { D: 'debug', I: 'info', W: 'warn', E: 'error' }

function codesIn(text: string): string[] {
  return text.match(/\bTWR[A-Z]_[A-Z]+_\d+\b/g) ?? []
}

test('the page has one row for each code, with its level and its text', () => {
  assert.deepEqual(
    rows.map(({ code, level, text }) => ({ code, level, text })),
    Object.entries(CONSUMER_LOG_CODES).map(([code, text]) => ({
      code,
      level: LEVELS[code.charAt(3)],
      text,
    })),
  )
  for (const { code, meaning, cure } of rows) assert.ok(meaning && cure, code)
})

test('every code in the sources is in the catalogue, and every code of it is written somewhere', () => {
  const catalogue = new Set(Object.keys(CONSUMER_LOG_CODES))
  const used = new Set<string>()
  for (const file of readdirSync(root('src'), { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.ts') || file.endsWith('consumer-log-codes.ts')) continue
    for (const code of codesIn(readFileSync(root(`src/${file}`), 'utf8'))) used.add(code)
  }
  assert.deepEqual([...used].sort(), [...catalogue].sort())
  for (const code of codesIn(page))
    assert.ok(catalogue.has(code), `${code} is not in the catalogue`)
})

test('a code has a level, an area and two digits, and no number twice in its area', () => {
  const codes = Object.keys(CONSUMER_LOG_CODES)
  for (const code of codes) assert.match(code, /^TWR[DIWE]_[A-Z]+_\d\d$/)
  assert.equal(new Set(codes.map(code => code.slice(5))).size, codes.length)
})

test('the page names every code of SluiceError', () => {
  const source = readFileSync(root('src/errors.ts'), 'utf8')
  const union = /type ErrorCode =([^\n]*)/.exec(source)?.[1] ?? ''
  const codes = union.match(/\w+/g) ?? []
  assert.ok(codes.length >= 6)
  for (const code of codes) assert.match(page, new RegExp(`^\\| \`${code}\` \\|`, 'm'), code)
})
