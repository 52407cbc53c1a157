import type { Admin } from 'kafkajs'

/** `ConfigResourceTypes.TOPIC`, which kafkajs exports in a way that an ES module does not see. */
const TOPIC_RESOURCE = 2

/**
 * How long the topics keep their records, the longest of them.
 * @returns milliseconds; null: one of them keeps records without a limit, or as long as their keys have no newer one
 * @throws what kafkajs throws
 */
export async function longestRetentionMs(
  admin: Admin,
  topics: readonly string[],
): Promise<number | null> {
  const { resources } = await admin.describeConfigs({
    includeSynonyms: false,
    resources: topics.map(name => ({
      type: TOPIC_RESOURCE,
      name,
      configNames: ['retention.ms', 'cleanup.policy'],
    })),
  })
  let longestMs = 0
  for (const { configEntries } of resources) {
    const settingOf = (name: string) =>
      configEntries.find(entry => entry.configName === name)?.configValue
    const keepsAll = !settingOf('cleanup.policy')?.includes('delete')
    const ms = Number(settingOf('retention.ms'))
    if (keepsAll || !(ms >= 0)) return null
    longestMs = Math.max(longestMs, ms)
  }
  return longestMs
}
