/** The test run's PostgreSQL: a superuser's URL of its database `postgres`. */
export function databaseUrl(): string {
  return required('DATABASE_URL')
}

/** The test run's Kafka, as `host:port`. */
export function kafkaBrokers(): string[] {
  return required('KAFKA_BROKERS').split(',')
}

function required(name: string): string {
  const value = process.env[name]
  if (!value) throw new Error(`${name} is not set: run the tests by ./test.sh or npm test`)
  return value
}

/** What supports need of a test's or a suite's context. */
export interface Scope {
  readonly name: string
  after(fn: () => Promise<void>): void
}

/** A name that tells whose it is, in letters, digits and `_`, different each time. */
export function uniqueName(scope: Scope, lengthMax: number): string {
  const random = Math.random().toString(36).slice(2, 10).padEnd(8, '0')
  const slug = scope.name.toLowerCase().replace(/[^a-z0-9]+/g, '_')
  return `t_${slug.slice(0, lengthMax - random.length - 3)}_${random}`
}
