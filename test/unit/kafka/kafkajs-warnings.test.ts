import assert from 'node:assert/strict'
import { test } from 'node:test'
import { logLevel } from 'kafkajs'
import { kafkajsWarnings } from '../../../src/kafka/kafkajs-warnings.ts'

function listening() {
  const said: [level: string, facts: object][] = []
  const at = (level: string) => (facts: object) => {
    said.push([level, facts])
  }
  const log = { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
  const closed = new AbortController()
  const tell = kafkajsWarnings(log, closed.signal)(logLevel.WARN)
  const say = (message: string, extra: object = {}, level = logLevel.ERROR) =>
    tell({
      namespace: 'Connection',
      level,
      label: '',
      log: { timestamp: '', logger: 'kafkajs', message, ...extra },
    })
  return { said, say, closed }
}

test('a warning is told once a minute, with names and numbers and nothing else', () => {
  const { said, say } = listening()
  const facts = { topic: 't', partition: 1, payload: 'secret', stack: 'deep', error: 'no leader' }
  say('Response Fetch', facts)
  say('Response Fetch', facts)
  assert.deepEqual(said, [
    [
      'warn',
      { part: 'Connection', said: 'Response Fetch', topic: 't', partition: 1, reason: 'no leader' },
    ],
  ])
})

test('an ordinary rebalance is no warning', () => {
  const { said, say } = listening()
  say('Response Heartbeat', { error: 'The group is rebalancing, so a rejoin is needed' })
  say('The coordinator is not aware of this member, re-joining the group')
  assert.deepEqual(
    said.map(([level]) => level),
    ['debug', 'debug'],
  )
})

test('a client that is closed says nothing more', () => {
  const { said, say, closed } = listening()
  closed.abort()
  say('Connection error')
  assert.deepEqual(said, [])
})
