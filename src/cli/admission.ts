import type { Command } from 'commander'
import type { Admission, AdmissionSettings } from '../create-admission.ts'
import { walkThrough } from '../demo/admission-walk.ts'
import { environmentOf } from '../demo/relay-process.ts'
import { Screen } from '../demo/screen.ts'
import { startParts } from '../embedded/parts.ts'
import { migrate } from '../migrate.ts'
import { MIGRATED } from '../migration-family.ts'
import { loadOptions, type Options } from '../options.ts'
import type { Log } from '../telemetry/log.ts'
import { createLogger } from '../telemetry/logger.ts'
import type { CliContext } from './context.ts'
import { runService, type Service } from './run-service.ts'

interface Flags {
  readonly relay?: true
  readonly demo?: true
}

/** So small that whoever tries it out waits with the third join. */
const DEMO_CAPACITY = '2'

export function register(program: Command, context: CliContext): void {
  program
    .command('admission')
    .description('waiting rooms: an API and a page that let people in, in order, up to a capacity')
    .option('--relay', 'publish the outbox in this process too, instead of by `sluice run`')
    .option('--demo', 'bring up PostgreSQL and Kafka with all tables, and say what to type')
    .action(async (flags: Flags) => {
      if (flags.demo) return playDemo(context)
      const options = context.loadOptions(['database', 'kafka'])
      const logger = createLogger(options.logLevel)
      const admission = await open({ config: options, logger, relay: flags.relay ?? false })
      await serve(admission, logger, options)
    })
}

/** Only then are its libraries loaded: the other commands start without them. */
async function open(settings: AdmissionSettings): Promise<Admission> {
  const { createAdmission } = await import('../create-admission.ts')
  return createAdmission(settings)
}

async function serve(service: Service, log: Log, options: Options): Promise<void> {
  await runService(service, { log, name: 'admission', graceMs: options.shutdownGraceMs })
}

async function playDemo({ env, stdout }: CliContext): Promise<void> {
  const screen = new Screen(stdout, env)
  screen.step('bringing up PostgreSQL and Kafka')
  const parts = await startParts({ env, onProgress: text => screen.step(text) })
  try {
    screen.step(`PostgreSQL and Kafka ready (${parts.kind})`)
    await migrate({ databaseUrl: parts.databaseUrl, schemas: MIGRATED })
    const options = loadOptions({
      SLUICE_LOG_LEVEL: 'warn',
      SLUICE_ADMISSION_CAPACITY: DEMO_CAPACITY,
      ...environmentOf(parts, env),
    })
    const logger = createLogger(options.logLevel)
    const admission = await open({ config: options, logger, relay: true })
    await serve(telling(admission, options, screen), logger, options)
  } finally {
    await parts.stop()
  }
}

/** The same, with what to do once it has started. */
function telling(admission: Admission, options: Options, screen: Screen): Service {
  return {
    completed: admission.completed,
    start: async () => {
      await admission.start()
      screen.step('waiting rooms ready')
      for (const line of walkThrough(admission.address ?? 'off', options.admission.capacity)) {
        screen.line(line)
      }
    },
    stop: () => admission.stop(),
  }
}
