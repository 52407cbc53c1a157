import assert from 'node:assert/strict'
import { existsSync, readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const root = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url))
const rows = readFileSync(root('docs/requirements.md'), 'utf8')
  .split('\n')
  .filter(line => /^\| R\d/.test(line))
  .map(line => {
    const [, id = '', , , where = '', status = ''] = line.split('|').map(cell => cell.trim())
    return { id, where, status }
  })

function ids(document: string, first: number, last: number): string[] {
  return Array.from({ length: last - first + 1 }, (_, index) => {
    return `${document}-${String(first + index).padStart(2, '0')}`
  })
}

test('every requirement has its row, once and in order', () => {
  assert.deepEqual(
    rows.map(({ id }) => id),
    [
      ...[ids('R000', 1, 28), ids('R001', 1, 28), ids('R002', 1, 26)],
      ...[ids('R003', 14, 31), ids('R004', 1, 49)],
    ].flat(),
  )
})

test('what is linked exists, and only what names no missing file is called built', () => {
  for (const { id, where, status } of rows) {
    const links = [...where.matchAll(/\]\(\.\.\/([^)#]+)\)/g)].map(found => found[1] ?? '')
    for (const link of links) assert.ok(existsSync(root(link)), `${id}: ${link}`)
    const missing = [...where.matchAll(/`([^`]+)`/g)].map(found => found[1] ?? '')
    assert.equal(status.includes('planned'), missing.length > 0, `${id}: ${status}`)
    if (status.includes('decided')) assert.match(where, /decisions\.md#/, id)
    assert.match(status, /^(built|planned|decided)(, planned)?$/, id)
  }
})
