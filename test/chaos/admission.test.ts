import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { packageRoot } from '../../src/internal/package-root.ts'
import { cleanup } from '../support/cleanup.ts'
import { admissionTable } from './admission/admission-table.ts'
import { runAdmissionCampaign } from './admission/campaign.ts'
import { checkAdmission } from './admission/checker.ts'
import { startAdmissionParts } from './admission/stage.ts'
import { treeOfShortWaits } from './consumer/short-waits.ts'

/** One of each part; the granter is in both doors. */
const FAULTS = ['door_killed', 'broker_killed', 'postgres_crashed', 'relay_killed']

/** Other tests run at the same time. */
const LATE_MS = 8_000

test('a crowd is let in under faults: never over capacity, in order, nobody lost', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-admission-'))
  cleanup(t, () => rm(folder, { recursive: true, force: true }))
  const tree = await treeOfShortWaits(packageRoot())
  cleanup(t, () => tree.remove())
  const history = await runAdmissionCampaign(await startAdmissionParts(t), {
    ...{ root: tree.folder, folder: join(folder, 'logs'), seed: 4 },
    ...{ joins: 1_200, rooms: 2, capacity: 20, stayMsMax: 150 },
    ...{ faults: FAULTS, faultEveryMs: 4_000, deadlineMs: 90_000, drainDeadlineMs: 60_000 },
    onProgress: text => t.diagnostic(text),
  })
  const verdict = checkAdmission(history, LATE_MS)
  for (const line of admissionTable(verdict).split('\n')) t.diagnostic(line)
  assert.deepEqual(verdict.violations, [])
  const { accepted, faults, granted, capacityChanges } = verdict.counts
  assert.ok(accepted >= 1_200, `${accepted} joins`)
  assert.ok(granted > 500, `${granted} grants`)
  assert.ok(capacityChanges > 2, `${capacityChanges} changes of capacity`)
  for (const fault of FAULTS) assert.ok(faults[fault], `no ${fault}`)
})
