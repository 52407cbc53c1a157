import assert from 'node:assert/strict'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test } from 'node:test'
import { cleanup } from '../support/cleanup.ts'
import { startOwnCluster } from './faults/own-cluster.ts'
import { runPubsubCampaign } from './pubsub/campaign.ts'
import { checkPubsub } from './pubsub/checker.ts'
import { pubsubTable } from './pubsub/pubsub-table.ts'

/** Of parties, their groups and the broker, so dense that they overlap. */
const FAULTS = [
  'worker_killed',
  'requester_killed',
  'requester_frozen',
  'storm_of_requesters',
  'storm_of_workers',
  'kafka_reset',
  'broker_killed',
]

test('a short campaign of overlapping faults: each request ends once, in its reply or in an error that says so, and all are answered afterwards', async t => {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-pubsub-'))
  cleanup(t, () => rm(folder, { recursive: true, force: true }))
  const history = await runPubsubCampaign(await startOwnCluster(t, { brokers: 1 }), {
    ...{ folder: join(folder, 'logs'), seed: 4, durationMs: 15_000, workers: 2 },
    ...{ requesters: ['shared', 'shared', 'instance'], faults: FAULTS, faultEveryMs: 2_000 },
    ...{ requestsPerSecond: 15, timeoutMs: 4_000, drainDeadlineMs: 30_000 },
    onProgress: text => t.diagnostic(text),
  })
  const verdict = checkPubsub(history)
  for (const line of pubsubTable(verdict).split('\n')) t.diagnostic(line)
  assert.deepEqual(verdict.violations, [])
  const faults = Object.values(verdict.counts.faults).reduce((sum, n) => sum + n, 0)
  assert.ok(faults >= 4, `${faults} faults`)
  assert.ok((verdict.counts.endings.reply ?? 0) > 200, JSON.stringify(verdict.counts.endings))
})
