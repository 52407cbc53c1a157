import { availableParallelism } from 'node:os'
import { admissionOptionTable } from './admission-table.ts'
import { count, type Option, option } from './option.ts'
import {
  brokers,
  choice,
  duration,
  flag,
  httpAddress,
  integer,
  type Parse,
  pemFile,
  postgresUrl,
  text,
  topicList,
  topicName,
} from './parsers.ts'

function libpq(name: string, doc: string, parse: Parse<string> = text()): Option<string> {
  return { section: 'PostgreSQL', names: [name], parse, fallback: null, doc }
}

function pem(name: string, doc: string): Option<string> {
  return { section: 'Kafka', names: [name], parse: pemFile(), fallback: null, doc }
}

export const httpDefault = { host: '127.0.0.1', port: 8780 } as const

/** All options there are. Parsing, `--help`, the example file and the README's table are made from this. */
export const optionTable = {
  databaseUrl: option({
    section: 'PostgreSQL',
    names: ['DATABASE_URL'],
    parse: postgresUrl(),
    fallback: null,
    fallbackNote: 'made from PG*',
    secret: true,
    doc: 'The database with the outbox, such as postgres://user:password@host:5432/database?sslmode=require. The primary, never a standby.',
  }),
  pgHost: libpq(
    'PGHOST',
    'Used when DATABASE_URL is absent: host, or the folder of a Unix socket.',
  ),
  pgPort: libpq('PGPORT', 'Used when DATABASE_URL is absent: port.', portText()),
  pgDatabase: libpq('PGDATABASE', 'Used when DATABASE_URL is absent: database.'),
  pgUser: libpq('PGUSER', 'Used when DATABASE_URL is absent: user.'),
  pgPassword: {
    ...libpq('PGPASSWORD', 'Used when DATABASE_URL is absent: password.'),
    secret: true as const,
  },
  pgSslMode: option({
    section: 'PostgreSQL',
    names: ['PGSSLMODE'],
    parse: choice(['disable', 'prefer', 'require', 'verify-full']),
    fallback: null,
    doc: 'Used when DATABASE_URL is absent: TLS. Only verify-full checks whom it talks to.',
  }),
  brokers: option({
    section: 'Kafka',
    names: ['KAFKA_BROKERS', 'KAFKA_BOOTSTRAP_SERVERS'],
    parse: brokers(),
    fallback: null,
    doc: 'Comma list of host:port. Name several: the first contact needs any one of them.',
  }),
  client: option({
    section: 'Kafka',
    names: ['KAFKA_CLIENT'],
    parse: choice(['kafkajs', 'platformatic']),
    fallback: 'kafkajs',
    doc: 'The library that talks to Kafka: kafkajs, or platformatic (@platformatic/kafka), which needs less CPU.',
  }),
  clientId: option({
    section: 'Kafka',
    names: ['KAFKA_CLIENT_ID'],
    parse: text(),
    fallback: 'sluice',
    doc: 'The name under which brokers log, measure and limit this client.',
  }),
  saslMechanism: option({
    section: 'Kafka',
    names: ['KAFKA_SASL_MECHANISM'],
    parse: choice(['plain', 'scram-sha-256', 'scram-sha-512']),
    fallback: null,
    doc: 'plain, scram-sha-256 or scram-sha-512, in any case. plain without KAFKA_TLS shows the password to the network.',
  }),
  saslUsername: option({
    section: 'Kafka',
    names: ['KAFKA_SASL_USERNAME'],
    parse: text(),
    fallback: null,
    doc: 'Needed with KAFKA_SASL_MECHANISM.',
  }),
  saslPassword: option({
    section: 'Kafka',
    names: ['KAFKA_SASL_PASSWORD'],
    parse: text(),
    fallback: null,
    secret: true,
    doc: 'Needed with KAFKA_SASL_MECHANISM.',
  }),
  tls: option({
    section: 'Kafka',
    names: ['KAFKA_TLS'],
    parse: flag(),
    fallback: 'false',
    doc: 'true: encrypt, and check the brokers against the system authorities or KAFKA_TLS_CA_FILE.',
  }),
  tlsCa: pem(
    'KAFKA_TLS_CA_FILE',
    'PEM file of the authorities to trust instead of the system ones.',
  ),
  tlsCert: pem(
    'KAFKA_TLS_CERT_FILE',
    'PEM file of the client certificate; goes with KAFKA_TLS_KEY_FILE.',
  ),
  tlsKey: pem('KAFKA_TLS_KEY_FILE', 'PEM file of the client key; goes with KAFKA_TLS_CERT_FILE.'),
  tlsInsecure: option({
    section: 'Kafka',
    names: ['KAFKA_TLS_INSECURE'],
    parse: flag(),
    fallback: 'false',
    doc: 'true: encrypt, but accept any certificate, an attacker’s too.',
  }),
  workers: {
    ...count(
      'SLUICE_WORKERS',
      [Math.min(2, availableParallelism()), 1, 32],
      'Threads that publish, each with its own connections to Kafka. Too low: one core bounds the throughput. Too high: memory and connections for nothing.',
    ),
    fallbackNote: '2, or 1 on a single core',
  },
  slots: {
    ...count(
      'SLUICE_SLOTS',
      [null, 1, 64],
      'Loops of reserve, publish and confirm, each over its own lanes. Too low: threads wait for the database. Too high: smaller batches and more statements.',
    ),
    fallbackNote: '2 × SLUICE_WORKERS',
  },
  batchSize: count(
    'SLUICE_BATCH_SIZE',
    [1_000, 1, 5_000],
    'Events of one reservation, at most. Too low: a round trip per few events. Too high: an event waits longer for its batch, and more is repeated after a crash.',
  ),
  batchBytesMax: count(
    'SLUICE_BATCH_BYTES',
    [8 * 1024 * 1024, 1_024, 256 * 1024 * 1024],
    'Payload bytes of one reservation, at most; a single larger event still goes. Too low: small batches. Too high: memory, times SLUICE_SLOTS.',
  ),
  reserveMs: count(
    'SLUICE_RESERVE_MS',
    [15_000, 1_000, 600_000],
    'Length of a lane’s lease. Too low: lanes are lost while a broker is slow. Too high: the lanes of a replica that died wait that long.',
  ),
  publishTimeoutMs: {
    ...count(
      'SLUICE_PUBLISH_TIMEOUT_MS',
      [null, 100, 300_000],
      'Time for the brokers to answer a batch, at most half of SLUICE_RESERVE_MS. Too low: slow answers count as lost and are sent again. Too high: a hanging broker holds its lanes longer.',
    ),
    fallbackNote: 'half of SLUICE_RESERVE_MS',
  },
  pollMs: count(
    'SLUICE_POLL_MS',
    [100, 5, 60_000],
    'Longest pause between polls of an idle outbox. Too low: idle load on the database. Too high: the first event after a silence waits that long.',
  ),
  doorbell: option({
    section: 'Relay',
    names: ['SLUICE_DOORBELL'],
    parse: choice(['auto', 'on', 'off']),
    fallback: 'auto',
    doc: 'Whether writers wake a relay that sleeps, by NOTIFY: on, off, or auto: on unless the server allows two-phase commit, since a transaction that has rung cannot be prepared. off: the first event after a silence waits up to SLUICE_POLL_MS.',
  }),
  retentionMs: option({
    section: 'Relay',
    names: ['SLUICE_RETENTION'],
    parse: duration(3_650 * 86_400_000),
    fallback: '24h',
    doc: 'How long published events are kept in outbox.published: 0, 30m, 24h, 7d. 0 deletes at once and costs least, but leaves no history and nothing to replay. Too long: disk.',
  }),
  attemptsMax: count(
    'SLUICE_MAX_ATTEMPTS',
    [10, 1, 1_000],
    'Failures through an event’s own fault until it becomes a dead letter; outages never count. Too low: dead letters that a retry would have saved. Too high: its key waits longer.',
  ),
  retryBaseMs: count(
    'SLUICE_RETRY_BASE_MS',
    [500, 1, 600_000],
    'Pause before the first retry of an event, doubled each time, with full jitter. Too low: attempts are spent at once. Too high: its key waits longer.',
  ),
  retryMaxMs: count(
    'SLUICE_RETRY_MAX_MS',
    [300_000, 1, 86_400_000],
    'Longest pause between two tries of an event. Too low: attempts are spent within a short fault. Too high: a cured event, and its key, wait longer.',
  ),
  deadLetterTopic: option({
    section: 'Relay',
    names: ['SLUICE_DEAD_LETTER_TOPIC'],
    parse: topicName(),
    fallback: null,
    fallbackNote: 'none',
    doc: 'A topic to which dead letters are published too, with their reason in headers sluice-dead-*. They stay in outbox.dead_letters all the same.',
  }),
  blockingTopics: option({
    section: 'Relay',
    names: ['SLUICE_BLOCK_AFTER_DEAD_LETTER'],
    parse: topicList(),
    fallback: null,
    fallbackNote: 'none',
    doc: 'Comma list of topics, or *, whose keys stop at a dead letter: later events of its key wait until it is requeued or discarded. Elsewhere the key goes on without it.',
  }),
  messageBytesMax: count(
    'SLUICE_MESSAGE_BYTES',
    [1_000_000, 1_024, 100_000_000],
    'Largest record batch sent. Keep it below max.message.bytes of the topics. Too low: many small requests. Too high: refused batches that must be split.',
  ),
  breakerResetMs: count(
    'SLUICE_BREAKER_RESET_MS',
    [1_000, 50, 600_000],
    'How often a destination whose breaker is open is probed. Too low: load on a broker that recovers. Too high: events wait after it has.',
  ),
  shutdownGraceMs: count(
    'SLUICE_SHUTDOWN_GRACE_MS',
    [8_000, 100, 600_000],
    'How long a stop waits for what is in flight. Too low: events are sent again by the next replica. Keep it below the time after which the process is killed.',
    'Operation',
  ),
  http: option({
    section: 'Operation',
    names: ['SLUICE_HTTP'],
    parse: httpAddress(),
    fallback: null,
    fallbackNote: `${httpDefault.host}:${httpDefault.port}`,
    doc: 'host:port of /livez, /readyz and /metrics, or off. They show no payloads, so 0.0.0.0:8780 is fine inside a cluster. If the default port is taken, another free one is used and logged.',
  }),
  logLevel: option({
    section: 'Operation',
    names: ['SLUICE_LOG_LEVEL'],
    parse: choice(['debug', 'info', 'warn', 'error']),
    fallback: 'info',
    doc: 'debug, info, warn or error. debug writes a line per event.',
  }),
  ...admissionOptionTable,
} as const

function portText(): Parse<string> {
  const port = integer(1, 65_535)
  return given => {
    const parsed = port(given)
    return parsed.ok ? { ok: true, value: given } : parsed
  }
}

export type OptionKey = keyof typeof optionTable

/** The parsed value of each option that was given or has a default. */
export type Settings = {
  readonly [K in OptionKey]?: (typeof optionTable)[K] extends Option<infer T> ? T : never
}

/** `SLUICE_*` names that are no options of the daemon but may stand in its environment. */
export const otherNames: readonly string[] = ['SLUICE_CONFIG', 'SLUICE_INFRA', 'SLUICE_CACHE']
