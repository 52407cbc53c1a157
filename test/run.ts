import { readdirSync } from 'node:fs'
import { join, sep } from 'node:path'
import { run } from 'node:test'
import { spec } from 'node:test/reporters'
import { fileURLToPath } from 'node:url'
import { startParts } from '../src/embedded/parts.ts'
import { describeError } from '../src/errors.ts'

// node --import tsx test/run.ts [part of a path…]
// Runs the test files whose path contains one of the arguments (all files without any), in one PostgreSQL and one
// Kafka. The runner of `node --test` would sort the files; `run` keeps our order.

const FOLDER = fileURLToPath(new URL('.', import.meta.url))
const UNIT = `unit${sep}`
const FILES_AT_ONCE = 2
/** A file that hangs must not hold the run for ever. */
const FILE_TIMEOUT_MS = 5 * 60_000
const EXIT_FAILED = 1
const EXIT_USAGE = 2
const EXIT_FORCED = 130

const interrupted = new AbortController()
let testing = false
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    // Before the tests and at the second signal: the parts end by themselves once this process is gone.
    if (!testing || interrupted.signal.aborted) process.exit(EXIT_FORCED)
    interrupted.abort()
  })
}

process.exitCode = await main(process.argv.slice(2))

async function main(filters: readonly string[]): Promise<number> {
  const files = testFiles(filters)
  if (files.length === 0) {
    tell(`no test file has ${filters.join(' or ')} in its path`)
    return EXIT_USAGE
  }
  if (files.every(file => file.startsWith(UNIT))) return runFiles(files)
  try {
    const parts = await startParts({ env: process.env, onProgress: tell })
    tell(`PostgreSQL and Kafka are ready (${parts.kind})`)
    process.env.DATABASE_URL = parts.databaseUrl
    process.env.KAFKA_BROKERS = parts.kafkaBrokers
    // Tests that break a broker start their own in the same way.
    process.env.PARTS_KIND = parts.kind
    // They are about starting parts alone; what is tested refuses settings that it does not know.
    delete process.env.SLUICE_CACHE
    delete process.env.SLUICE_INFRA
    try {
      return await runFiles(files)
    } finally {
      await parts.stop()
    }
  } catch (error) {
    tell(describeError(error))
    return EXIT_FAILED
  }
}

/** Paths relative to this folder, unit tests first: they fail soonest. */
function testFiles(filters: readonly string[]): string[] {
  return readdirSync(FOLDER, { recursive: true, encoding: 'utf8' })
    .filter(file => file.endsWith('.test.ts'))
    .filter(file => filters.length === 0 || filters.some(part => join('test', file).includes(part)))
    .sort((a, b) => Number(b.startsWith(UNIT)) - Number(a.startsWith(UNIT)) || a.localeCompare(b))
}

async function runFiles(files: readonly string[]): Promise<number> {
  testing = true
  let failed = false
  const tests = run({
    files: files.map(file => join(FOLDER, file)),
    concurrency: FILES_AT_ONCE,
    timeout: FILE_TIMEOUT_MS,
    signal: interrupted.signal,
  })
  tests.on('test:fail', ({ todo }) => {
    if (todo === undefined || todo === false) failed = true
  })
  for await (const text of tests.compose(new spec())) process.stdout.write(text as string)
  testing = false
  if (interrupted.signal.aborted) return EXIT_FORCED
  return failed ? EXIT_FAILED : 0
}

function tell(text: string): void {
  process.stderr.write(`${text}\n`)
}
