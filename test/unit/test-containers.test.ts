import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type TestContext, test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { cleanup } from '../support/cleanup.ts'

const script = fileURLToPath(new URL('../../scripts/test-containers.sh', import.meta.url))

/** Writes down how it was called. A real one would have to end what other tests are using. */
const DOCKER = `#!/usr/bin/env bash
echo "$*" >> "$CALLS"
case "$1" in
  ps) [[ $* == *--quiet* ]] && printf '%b' "$CONTAINERS"; exit 0 ;;
  kill) shift; printf '%s\\n' "$@" ;;
esac
`

function setup(t: TestContext, containers: readonly string[]) {
  const folder = mkdtempSync(join(tmpdir(), 'test-containers-'))
  cleanup(t, () => rmSync(folder, { recursive: true }))
  const calls = join(folder, 'calls')
  writeFileSync(calls, '')
  writeFileSync(join(folder, 'docker'), DOCKER)
  chmodSync(join(folder, 'docker'), 0o755)
  return (...args: string[]) => {
    const { status, stderr } = spawnSync('bash', [script, ...args], {
      env: {
        PATH: `${folder}:${process.env.PATH}`,
        CALLS: calls,
        CONTAINERS: containers.map(id => `${id}\\n`).join(''),
      },
      encoding: 'utf8',
      timeout: 10_000,
    })
    return { status, stderr, calls: readFileSync(calls, 'utf8').trim().split('\n') }
  }
}

const LABEL = '--filter label=org.testcontainers=true'

test('test containers are listed by their label, with the labels only when asked', t => {
  const run = setup(t, [])
  const { calls } = run('list')
  assert.match(calls[0] ?? '', new RegExp(`^ps --all ${LABEL} --format table .*\\.Status}}$`))
  assert.match(run('list', '--labels').calls[1] ?? '', /\.Status}}\\t{{\.Labels}}$/)
})

test('they are killed, or removed, or killed and then removed', t => {
  for (const [command, asked, expected] of [
    ['kill', '', ['kill a b']],
    ['remove', ' --all', ['rm --force --volumes a b']],
    ['kill-remove', '', ['kill a b', 'rm --volumes a b']],
  ] as const) {
    const { status, calls } = setup(t, ['a', 'b'])(command)
    assert.equal(status, 0)
    assert.deepEqual(calls, [`ps --quiet --no-trunc ${LABEL}${asked}`, ...expected])
  }
})

test('without any there is nothing to do, and what is not understood ends with 2', t => {
  const run = setup(t, [])
  const { status, stderr } = run('remove')
  assert.equal(status, 0)
  assert.match(stderr, /no test containers/)
  for (const args of [[], ['remove', 'everything'], ['prune']]) {
    const wrong = run(...args)
    assert.equal(wrong.status, 2)
    assert.match(wrong.stderr, /usage/)
  }
  assert.doesNotMatch(run('help').calls.join('\n'), /^(rm|kill)/m)
})
