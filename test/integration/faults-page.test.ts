import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { packageRoot } from '../../src/internal/package-root.ts'
import { faultsOfKafka } from '../chaos/campaign/faults-of-kafka.ts'
import { faultsOfPostgres } from '../chaos/campaign/faults-of-postgres.ts'
import { faultsOfReplicas } from '../chaos/campaign/faults-of-replicas.ts'
import { FAULT_KINDS } from '../simulation/fault-kinds.ts'

/** The catalogue of failures: how many entries each of its groups has. */
const GROUPS = { A: 29, B: 28, C: 12, D: 13, E: 20, F: 12, G: 7 }
const SEEN = /^(holds|does not arise|warned of|by hand|open|not injected|not the relay's)/i

interface Row {
  readonly id: string
  readonly shownBy: string
  readonly seen: string
}

const page = readFileSync(join(packageRoot(), 'docs', 'faults.md'), 'utf8')
const rows = page
  .split('\n')
  .filter(line => /^\| [A-Z]\d+ \|/.test(line))
  .map(readRow)

function readRow(line: string): Row {
  const cells = line.split('|').map(cell => cell.trim())
  const [, id = '', , , shownBy = '', seen = ''] = cells
  assert.equal(cells.length, 7, `the row of ${id} has five cells`)
  return { id, shownBy, seen }
}

const testsOf = ({ shownBy }: Row) =>
  [...shownBy.matchAll(/`([^`]+\.ts)` › "([^"]+)"/g)].map(([, file = '', name = '']) => ({
    file,
    name,
  }))

const kindsOf = ({ shownBy }: Row, where: string) =>
  [...shownBy.matchAll(new RegExp(`${where}((?:,? \`\\w+\`)+)`, 'g'))].flatMap(([, kinds = '']) =>
    [...kinds.matchAll(/`(\w+)`/g)].map(([, kind = '']) => kind),
  )

/** Between quotes as the name of a test, perhaps behind the name of who is tested. */
function namesTest(source: string, name: string): boolean {
  const escaped = name.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll("'", "\\\\?'")
  return new RegExp(`(['"\`]|\\}: )${escaped}['"\`]`).test(source)
}

test('each entry of the catalogue has exactly one row', () => {
  const ids = Object.entries(GROUPS).flatMap(([group, entries]) =>
    Array.from({ length: entries }, (_, index) => `${group}${index + 1}`),
  )
  assert.deepEqual(
    rows.map(({ id }) => id),
    ids,
  )
})

test('each test that the page names exists', () => {
  const sources = new Map<string, string>()
  for (const row of rows) {
    for (const { file, name } of testsOf(row)) {
      const source = sources.get(file) ?? readFileSync(join(packageRoot(), 'test', file), 'utf8')
      sources.set(file, source)
      assert.ok(namesTest(source, name), `${row.id}: ${file} has no test "${name}"`)
    }
  }
  assert.ok(sources.size > 20, `${sources.size} files are named`)
})

test('each kind of fault that the page names exists', () => {
  const campaign = [...faultsOfKafka, ...faultsOfPostgres, ...faultsOfReplicas].map(
    ({ name }) => name,
  )
  for (const row of rows) {
    for (const kind of kindsOf(row, 'campaign'))
      assert.ok(campaign.includes(kind), `${row.id}: ${kind}`)
    for (const kind of kindsOf(row, 'simulation'))
      assert.ok((FAULT_KINDS as readonly string[]).includes(kind), `${row.id}: ${kind}`)
  }
})

test('what is said to hold is shown by a test or a campaign, and nothing is left unsaid', () => {
  for (const row of rows) {
    assert.match(row.seen, SEEN, `${row.id}: ${row.seen}`)
    const kinds = [...kindsOf(row, 'campaign'), ...kindsOf(row, 'simulation')]
    const shown = testsOf(row).length + kinds.length
    if (/^holds/.test(row.seen)) assert.ok(shown > 0, `${row.id} names no test`)
  }
})
