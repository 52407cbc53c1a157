import type { AdmissionOptions, HttpOptions, KafkaOptions, Need, Options } from '../options.ts'
import type { Option } from './option.ts'
import { httpDefault, optionTable, type Settings } from './table.ts'

/**
 * Fills in what depends on other options, checks the relations between them, and freezes the result.
 * @param faults gets a sentence for each fault; with one, the result is not to be used
 */
export function composeOptions(
  settings: Settings,
  overrides: Partial<Options>,
  needs: readonly Need[],
  faults: string[],
): Readonly<Options> {
  const numbers = { ...numbersOf(settings), ...given(overrides) }
  const options: Options = {
    ...numbers,
    databaseUrl: overrides.databaseUrl ?? databaseUrl(settings, needs, faults),
    kafka: Object.freeze(overrides.kafka ?? kafka(settings, needs, faults)),
    slots: numbers.slots ?? Math.min(2 * numbers.workers, 64),
    publishTimeoutMs: numbers.publishTimeoutMs ?? Math.floor(numbers.reserveMs / 2),
    doorbell: overrides.doorbell ?? settings.doorbell ?? 'auto',
    deadLetterTopic: overrides.deadLetterTopic ?? settings.deadLetterTopic ?? null,
    blockingTopics: overrides.blockingTopics ?? settings.blockingTopics ?? [],
    http: overrides.http === undefined ? http(settings) : Object.freeze(overrides.http),
    logLevel: overrides.logLevel ?? settings.logLevel ?? 'info',
    admission: Object.freeze(overrides.admission ?? admission(settings)),
  }
  checkBounds(overrides, faults)
  checkRelations(options, faults)
  return Object.freeze(options)
}

/** A setting is absent only when it was faulty; 0 then stands in, and is never used. */
function numbersOf(settings: Settings) {
  return {
    workers: settings.workers ?? 0,
    slots: settings.slots,
    batchSize: settings.batchSize ?? 0,
    batchBytesMax: settings.batchBytesMax ?? 0,
    reserveMs: settings.reserveMs ?? 0,
    publishTimeoutMs: settings.publishTimeoutMs,
    pollMs: settings.pollMs ?? 0,
    retentionMs: settings.retentionMs ?? 0,
    attemptsMax: settings.attemptsMax ?? 0,
    retryBaseMs: settings.retryBaseMs ?? 0,
    retryMaxMs: settings.retryMaxMs ?? 0,
    messageBytesMax: settings.messageBytesMax ?? 0,
    breakerResetMs: settings.breakerResetMs ?? 0,
    shutdownGraceMs: settings.shutdownGraceMs ?? 0,
  }
}

function given(overrides: Partial<Options>): { [K in keyof Options]?: NonNullable<Options[K]> } {
  return Object.fromEntries(
    Object.entries(overrides).filter(([, value]) => value !== undefined && value !== null),
  )
}

function http(settings: Settings): HttpOptions | null {
  return Object.freeze(
    settings.http === undefined ? { ...httpDefault, exact: false } : settings.http,
  )
}

function admission(settings: Settings): AdmissionOptions {
  return {
    http: settings.admissionHttp ?? null,
    capacity: settings.admissionCapacity ?? null,
    keys: settings.admissionKeys ?? null,
    adminToken: settings.admissionAdminToken?.[0] ?? null,
    joinsPerSecond: settings.admissionJoinsPerSecond ?? null,
    proxies: settings.admissionProxies ?? 0,
    joinsTopic: settings.admissionJoinsTopic ?? '',
    group: settings.admissionGroup ?? '',
    changesTopic: settings.admissionChangesTopic ?? null,
    retentionMs: settings.admissionRetentionMs ?? 0,
  }
}

function databaseUrl(settings: Settings, needs: readonly Need[], faults: string[]): string {
  if (settings.databaseUrl !== undefined) return settings.databaseUrl
  const { pgHost, pgPort, pgDatabase, pgUser, pgPassword, pgSslMode } = settings
  if (pgHost === undefined && pgDatabase === undefined && pgUser === undefined) {
    const reported = faults.some(fault => fault.includes('DATABASE_URL'))
    if (needs.includes('database') && !reported) {
      faults.push('DATABASE_URL (or PGHOST, PGDATABASE, …) must be given, got nothing')
    }
    return ''
  }
  const database = pgDatabase === undefined ? '' : encodeURIComponent(pgDatabase)
  const query = pgSslMode === undefined ? '' : `?sslmode=${pgSslMode}`
  // A URL has no place for a socket's folder. The driver reads what it lacks from the environment itself.
  if (pgHost?.startsWith('/')) return `postgres:///${database}${query}`
  const password = pgPassword === undefined ? '' : `:${encodeURIComponent(pgPassword)}`
  const user = pgUser === undefined ? '' : `${encodeURIComponent(pgUser)}${password}@`
  const port = pgPort === undefined ? '' : `:${pgPort}`
  return `postgres://${user}${pgHost ?? 'localhost'}${port}/${database}${query}`
}

function kafka(settings: Settings, needs: readonly Need[], faults: string[]): KafkaOptions {
  if (settings.brokers === undefined && needs.includes('kafka')) {
    const reported = faults.some(fault => /KAFKA_(BROKERS|BOOTSTRAP_SERVERS)/.test(fault))
    if (!reported) faults.push('KAFKA_BROKERS must be given, got nothing')
  }
  const sasl = kafkaSasl(settings, faults)
  const tls = kafkaTls(settings, faults)
  return {
    client: settings.client ?? 'kafkajs',
    brokers: Object.freeze([...(settings.brokers ?? [])]),
    clientId: settings.clientId ?? 'sluice',
    ...(sasl && { sasl: Object.freeze(sasl) }),
    ...(tls && { tls: Object.freeze(tls) }),
  }
}

function kafkaSasl(settings: Settings, faults: string[]): KafkaOptions['sasl'] {
  const { saslMechanism: mechanism, saslUsername: username, saslPassword: password } = settings
  if (mechanism === undefined && username === undefined && password === undefined) return undefined
  if (mechanism === undefined || username === undefined || password === undefined) {
    const names = 'KAFKA_SASL_MECHANISM, KAFKA_SASL_USERNAME and KAFKA_SASL_PASSWORD'
    if (!faults.some(fault => fault.includes('KAFKA_SASL_'))) {
      faults.push(`${names} must be given together, got only some`)
    }
    return undefined
  }
  return { mechanism, username, password }
}

function kafkaTls(settings: Settings, faults: string[]): KafkaOptions['tls'] {
  const { tls, tlsCa: ca, tlsCert: cert, tlsKey: key, tlsInsecure: insecure } = settings
  if (tls !== true) {
    const useless = ca !== undefined || cert !== undefined || key !== undefined || insecure === true
    // Falling back to plain text because one line was forgotten would show the password to the network.
    if (useless) faults.push('KAFKA_TLS must be true when another KAFKA_TLS_* is given')
    return undefined
  }
  if ((cert === undefined) !== (key === undefined)) {
    faults.push('KAFKA_TLS_CERT_FILE and KAFKA_TLS_KEY_FILE must be given together, got one')
  }
  return {
    ...(ca !== undefined && { ca }),
    ...(cert !== undefined && { cert }),
    ...(key !== undefined && { key }),
    ...(insecure && { insecure }),
  }
}

function checkBounds(overrides: Partial<Options>, faults: string[]): void {
  const table: Readonly<Record<string, Option | undefined>> = optionTable
  for (const [key, value] of Object.entries(overrides)) {
    const { min, max } = table[key] ?? {}
    if (typeof value !== 'number' || min === undefined || max === undefined) continue
    if (!Number.isInteger(value) || value < min || value > max) {
      faults.push(`${key} must be an integer from ${min} to ${max}, got ${value}`)
    }
  }
}

function checkRelations(options: Options, faults: string[]): void {
  const { publishTimeoutMs, reserveMs, retryBaseMs, retryMaxMs } = options
  if (reserveMs > 0 && publishTimeoutMs > reserveMs / 2) {
    faults.push(
      `SLUICE_PUBLISH_TIMEOUT_MS must be at most half of SLUICE_RESERVE_MS (${reserveMs / 2}), got ${publishTimeoutMs}: nothing may be sent after the lease has ended`,
    )
  }
  if (retryMaxMs > 0 && retryBaseMs > retryMaxMs) {
    faults.push(
      `SLUICE_RETRY_BASE_MS must be at most SLUICE_RETRY_MAX_MS (${retryMaxMs}), got ${retryBaseMs}`,
    )
  }
}
