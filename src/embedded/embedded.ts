import { startEmbeddedKafka } from './embedded-kafka.ts'
import { startEmbeddedPostgres } from './embedded-postgres.ts'
import type { StartContext, Started } from './started.ts'

/**
 * Both parts as child processes of this one.
 * @throws SluiceError `lifecycle`; no process is left behind
 */
export async function startEmbedded(context: StartContext): Promise<Started> {
  // The failure of one ends the start of the other at once.
  const failed = new AbortController()
  const signal = AbortSignal.any([context.signal, failed.signal])
  let first: unknown
  const watch = async <T>(start: Promise<T>): Promise<T> => {
    try {
      return await start
    } catch (error) {
      first ??= error
      failed.abort()
      throw error
    }
  }
  const [postgres, kafka] = await Promise.allSettled([
    watch(startEmbeddedPostgres({ ...context, signal })),
    watch(startEmbeddedKafka({ ...context, signal })),
  ])
  if (postgres.status === 'fulfilled' && kafka.status === 'fulfilled') {
    const parts = [postgres.value, kafka.value]
    return {
      kind: 'embedded',
      databaseUrl: postgres.value.address,
      kafkaBrokers: kafka.value.address,
      pids: parts.map(part => part.pid),
      endLines: [`kill ${process.pid}`],
      needHost: true,
      ended: Promise.all(parts.map(part => part.ended)),
      stop: async () => {
        await Promise.all(parts.map(part => part.stop()))
      },
    }
  }
  for (const part of [postgres, kafka]) if (part.status === 'fulfilled') await part.value.stop()
  throw first
}
