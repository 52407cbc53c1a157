import assert from 'node:assert/strict'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'node:test'
import { packageRoot } from '../../../src/internal/package-root.ts'
import { type AdmissionRule, admissionRules } from '../../chaos/admission/admission-rules.ts'
import { checkAdmission } from '../../chaos/admission/checker.ts'
import { type AdmissionHappening, AdmissionHistory } from '../../chaos/admission/history.ts'
import { admissionMutants } from '../../chaos/admission/mutant-list.ts'
import { doctoredEnds } from './doctored-ends.ts'
import { doctoredTurns } from './doctored-turns.ts'
import { found } from './doctoring.ts'
import { START_MS, sound, type Told } from './story.ts'

const DOCTORED = [...doctoredTurns, ...doctoredEnds]

function rulesOf(told: readonly AdmissionHappening[]): AdmissionRule[] {
  return checkAdmission(new AdmissionHistory(told)).violations.map(({ rule }) => rule)
}

test('a sound history of a room passes', () => {
  assert.deepEqual(rulesOf(sound()), [])
})

test('what the relay wrote twice is no fault', () => {
  const told = sound()
  const join = found(told, 'join_record', { sessionId: 's2' })
  const grant = found(told, 'change_record', { sessionId: 's2' })
  told.push({ ...join, offset: 50 } as Told, { ...grant, offset: 50 } as Told)
  assert.deepEqual(rulesOf(told), [])
})

test('a place that was free for long near a fault is counted, and no violation', () => {
  const told = sound()
  const doctor = DOCTORED.find(([rule]) => rule === 'place_left_free')?.[2]
  doctor?.(told)
  const fault = { id: 1, fault: 'postgres_crashed' }
  told.push(
    { kind: 'fault_started', atMs: START_MS, ...fault, target: 'the database' } as Told,
    { kind: 'fault_healed', atMs: START_MS + 20_000, ...fault } as Told,
  )
  const { counts, violations } = checkAdmission(new AdmissionHistory(told))
  assert.ok(!violations.some(({ rule }) => rule === 'place_left_free'))
  assert.equal(counts.idleInFaults.late, 1)
})

for (const [rule, what, doctor] of DOCTORED) {
  test(`${rule}: ${what}`, () => {
    const told = sound()
    doctor(told)
    assert.ok(rulesOf(told).includes(rule), `found ${rulesOf(told).join(', ') || 'nothing'}`)
  })
}

test('every rule is seen to be broken by a doctored history', () => {
  assert.deepEqual(new Set(DOCTORED.map(([rule]) => rule)), new Set(admissionRules))
})

test('the text of every mutant stands exactly once in its file', async () => {
  for (const { name, file, find } of admissionMutants) {
    const text = await readFile(join(packageRoot(), file), 'utf8')
    assert.equal(text.split(find).length - 1, 1, name)
  }
})
