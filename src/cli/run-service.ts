import type { Log } from '../telemetry/log.ts'
import { EXIT_FORCED } from './exit-code.ts'

/** What runs until it is stopped. */
export interface Service {
  /** Rejects when a part has died. */
  readonly completed: Promise<void>
  start(): Promise<void>
  /** Drains, within a grace time of its own. Safe to call twice. */
  stop(): Promise<void>
}

export interface Running {
  readonly log: Log
  /** Names it in the log. */
  readonly name: string
  readonly graceMs: number
}

/**
 * Runs until a signal asks for the end or a part dies. The first signal drains; the second leaves at once, and what was
 * in flight is then done again by others.
 * @throws what the service died of, once everything has stopped
 */
export async function runService(service: Service, running: Running): Promise<void> {
  const { log, name, graceMs } = running
  const asked = new AbortController()
  const onSignal = (signal: NodeJS.Signals) => {
    if (asked.signal.aborted) {
      log.warn({ signal }, 'second signal: leaving at once')
      process.exit(EXIT_FORCED)
    }
    log.info({ signal, graceMs }, 'stopping')
    asked.abort()
  }
  process.on('SIGINT', onSignal)
  process.on('SIGTERM', onSignal)
  // Started with a channel to its parent, as by the demo: when the parent dies, nobody else would end it.
  process.once('disconnect', () => asked.abort())
  process.channel?.unref()
  try {
    await untilEnd(service, asked.signal)
  } catch (error) {
    log.error({ err: error }, `${name} failed`)
    throw error
  } finally {
    await service.stop()
    log.info({}, 'stopped')
  }
}

/** Resolves once the end is asked for; rejects when the service cannot start, or dies. */
async function untilEnd(service: Service, asked: AbortSignal): Promise<void> {
  const ended = new Promise<void>(resolve => {
    asked.addEventListener('abort', () => resolve(), { once: true })
  })
  try {
    // A start may wait long for its database; a signal must not wait for it.
    await Promise.race([service.start(), ended.then(() => service.stop())])
    if (!asked.aborted) await Promise.race([service.completed, ended])
  } catch (error) {
    if (!asked.aborted) throw error
  }
}
