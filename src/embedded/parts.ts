import { SluiceError } from '../errors.ts'
import { givenParts } from './given.ts'
import { HostedParts } from './hosted-parts.ts'

/** A PostgreSQL and a Kafka to work with. */
export interface Parts {
  readonly kind: 'given' | 'docker' | 'embedded'
  /** Carries a password: not for logs. A superuser, unless the parts are given. */
  readonly databaseUrl: string
  /** `host:port`, separated by commas. */
  readonly kafkaBrokers: string
  /** Ends the parts and removes their data; given parts stay as they are. Safe to call twice. */
  stop(): Promise<void>
  /** Leaves the parts running beyond this process. Returns the lines that a person types to end them. */
  detach(): Promise<string[]>
}

export interface PartsOptions {
  /** Leave the parts running also when this process ends without a word. Default: they end with it. */
  readonly keep?: boolean
  /** Told what is being done, a line at a time. */
  readonly onProgress?: (text: string) => void
  readonly kafkaNodes?: 1
  readonly env: NodeJS.ProcessEnv
}

/**
 * Takes the parts that the environment gives (`DATABASE_URL` and `KAFKA_BROKERS`), or else starts them: in Docker if
 * a daemon answers, else as plain child processes. `SLUICE_INFRA` = `docker` or `embedded` forces one of these.
 * Started parts end with this process, however it ends, unless they are stopped or detached before.
 *
 * @throws SluiceError `options`: the environment contradicts itself; `lifecycle`: a part did not start, with the last
 *   lines of its log, or what it needs is missing, with the cure
 */
export async function startParts(options: PartsOptions): Promise<Parts> {
  const forced = forcedWay(options.env)
  const given = forced === undefined ? givenParts(options.env) : undefined
  if (given) return given
  return HostedParts.start({
    way: forced ?? 'any',
    keep: options.keep ?? false,
    env: options.env,
    onProgress: options.onProgress ?? (() => {}),
  })
}

function forcedWay(env: NodeJS.ProcessEnv): 'docker' | 'embedded' | undefined {
  const value = env.SLUICE_INFRA
  if (value === undefined || value === '') return undefined
  if (value === 'docker' || value === 'embedded') return value
  throw new SluiceError(
    'options',
    'SLUICE_INFRA must be docker or embedded; leave it unset to take Docker if a daemon answers, else embedded parts',
  )
}
