import { type Mutant, MutantTree } from '../campaign/mutant-tree.ts'

/**
 * What the kit waits for, cut short, so that a minute shows what takes ten. Nothing of its protocol depends on these
 * numbers; who runs with the kit's own gives `--waits own`.
 */
export const SHORT_WAITS: readonly Mutant[] = [
  {
    name: 'a member is put out of its group after six seconds, as soon as brokers allow',
    file: 'src/kafka/kafkajs-settings.ts',
    find: 'sessionTimeoutMs: 30_000,',
    replace: 'sessionTimeoutMs: 6_000,',
  },
  {
    name: 'the group waits for its members for ten seconds',
    file: 'src/kafka/kafkajs-settings.ts',
    find: 'rebalanceTimeoutMs: 60_000,',
    replace: 'rebalanceTimeoutMs: 10_000,',
  },
  {
    name: 'a task comes back five seconds after its worker died',
    file: 'src/waiting-room/scheduler.ts',
    find: 'const LEASE_MS = 30_000',
    replace: 'const LEASE_MS = 5_000',
  },
  {
    name: 'the sweeper looks every second',
    file: 'src/waiting-room/sweeper.ts',
    find: 'everyMs: 5_000,',
    replace: 'everyMs: 1_000,',
  },
]

/** A copy of the sources with short waits. The caller owes `remove`. */
export async function treeOfShortWaits(root: string): Promise<MutantTree> {
  const tree = await MutantTree.copyOf(root)
  for (const edit of SHORT_WAITS) await tree.edit(edit)
  return tree
}
