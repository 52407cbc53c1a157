import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { SluiceError } from '../../../src/errors.ts'
import { familyOf } from '../../../src/migration-family.ts'
import { missingOf, readMigrations, toMigration } from '../../../src/migrations.ts'

const isSchemaError = (message: RegExp) => (error: unknown) =>
  error instanceof SluiceError && error.code === 'schema' && message.test(error.message)

function folderOf(t: TestContext, files: readonly string[]): string {
  const folder = mkdtempSync(join(tmpdir(), 'sluice-migrations-'))
  t.after(() => rmSync(folder, { recursive: true }))
  for (const file of files) writeFileSync(join(folder, file), `select '${file}'`)
  return folder
}

const first = toMigration('0001_outbox', 'select 1')
const second = toMigration('0002_more', 'select 2')
const third = toMigration('0003_rest', 'select 3')

test('the migrations of this build begin with the outbox', () => {
  const [migration] = readMigrations()
  assert.equal(migration?.number, 1)
  assert.equal(migration?.name, '0001_outbox')
  assert.match(migration?.sql ?? '', /create table outbox\.events/i)
})

test('the migrations of the consumer begin with the waiting room', () => {
  const [migration] = readMigrations(familyOf('consumer').folder)
  assert.equal(migration?.name, '0001_waiting_room')
})

test('migration files are read in number order, whatever else is in the folder', t => {
  const folder = folderOf(t, ['0002_b.sql', 'README.md', '0001_a.sql'])
  assert.deepEqual(
    readMigrations(folder).map(({ number, name }) => [number, name]),
    [
      [1, '0001_a'],
      [2, '0002_b'],
    ],
  )
})

test('a gap, a twin or an ill-named file among the migrations is refused', t => {
  for (const files of [
    ['0002_b.sql'],
    ['0001_a.sql', '0003_c.sql'],
    ['0001_a.sql', '0001_b.sql'],
    ['0001_a.sql', '2_b.sql'],
    ['0001_a.sql', '0002-b.sql'],
  ]) {
    assert.throws(() => readMigrations(folderOf(t, files)), isSchemaError(/NNNN_name\.sql/))
  }
})

test('line endings do not change a checksum, anything else does', () => {
  const { checksum } = toMigration('0001_a', 'select 1;\nselect 2;\n')
  assert.equal(toMigration('0001_a', 'select 1;\r\nselect 2;\r\n').checksum, checksum)
  assert.notEqual(toMigration('0001_a', 'select 1;\n select 2;\n').checksum, checksum)
})

test('what is missing is what has not been applied, in order', () => {
  const known = [first, second, third]
  assert.deepEqual(missingOf(known, []), known)
  assert.deepEqual(missingOf(known, [first]), [second, third])
  assert.deepEqual(missingOf(known, known), [])
})

test('a schema newer than this build, an altered migration and a gap are refused with the cure', () => {
  assert.throws(
    () => missingOf([first], [first, second]),
    isSchemaError(/0002_more, newer.*at least as new/),
  )
  const altered = { ...first, checksum: second.checksum }
  assert.throws(
    () => missingOf([first], [altered]),
    isSchemaError(/0001_outbox.*other contents.*restore/),
  )
  assert.throws(() => missingOf([first, second], [second]), isSchemaError(/not 0001_outbox/))
})
