import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { packageRoot } from '../../src/internal/package-root.ts'
import { cleanup } from '../support/cleanup.ts'
import { runCampaign } from './campaign/campaign.ts'
import { judgeFile } from './campaign/judge-file.ts'
import { LAX_LIMITS } from './campaign/scenarios.ts'
import { startParts } from './campaign/stage.ts'

/** Faults of every part, so dense that they overlap. */
const FAULTS = [
  'replica_killed',
  'replica_paused',
  'replica_stopped',
  'thread_killed',
  'broker_killed',
  'kafka_answers_swallowed',
  'kafka_black_hole',
  'kafka_requests_held',
  'backends_terminated',
  'postgres_answers_swallowed',
  'postgres_crashed',
  'timestamps_refused',
  'message_limit_lowered',
]

test('a short campaign of overlapping faults: nothing lost, altered, out of order or stuck', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-campaign-'))
  cleanup(t, () => rm(folder, { recursive: true, force: true }))
  const file = join(folder, 'history.jsonl')
  const parts = await startParts(t, 1)
  await runCampaign(parts, {
    root: packageRoot(),
    file,
    seed: 5,
    durationMs: 22_000,
    replicas: 3,
    faults: FAULTS,
    faultEveryMs: 2_000,
    leaseMs: 3_000,
    transactionsPerSecond: 40,
    retention: true,
    limits: LAX_LIMITS,
    drainDeadlineMs: 30_000,
    onProgress: text => t.diagnostic(text),
  })
  const { verdict, table } = await judgeFile(file)
  for (const line of table.split('\n')) t.diagnostic(line)
  assert.deepEqual(verdict.violations, [])
  assert.ok(verdict.faults >= 6, `${verdict.faults} faults`)
  assert.ok(verdict.overlaps >= 2, `${verdict.overlaps} overlapping pairs`)
  assert.ok(verdict.events.published > 500, `${verdict.events.published} events`)
})
