import assert from 'node:assert/strict'
import { type TestContext, test } from 'node:test'
import { SluiceError } from '../../../src/errors.ts'
import type { HealthFacts } from '../../../src/http/health.ts'
import { type HttpServerOptions, startHttpServer } from '../../../src/http/server.ts'

const facts: HealthFacts = {
  started: true,
  stopping: false,
  loops: [{ name: 'slot 0', lastTurnAtMs: 1 }],
  lastReserveOkAtMs: 1,
  lastPublishOkAtMs: null,
  oldestWaitingAgeSeconds: null,
  breakersOpen: [],
  nowMs: 2,
  stalledAfterMs: 10,
}

async function setup(t: TestContext, options: Partial<HttpServerOptions> = {}) {
  const server = await startHttpServer({
    host: '127.0.0.1',
    port: 0,
    health: () => facts,
    metrics: async () => 'up 1\n',
    ...options,
  })
  t.after(() => server.stop())
  const get = async (path: string, method = 'GET') => {
    const answer = await fetch(`http://${server.address}${path}`, { method })
    return {
      status: answer.status,
      type: answer.headers.get('content-type'),
      body: await answer.text(),
    }
  }
  return { server, get }
}

test('probes answer 200 while all is well, and tell each check when asked', async t => {
  const { get } = await setup(t)
  assert.deepEqual(await get('/livez'), {
    status: 200,
    type: 'text/plain; charset=utf-8',
    body: 'ok\n',
  })
  assert.equal((await get('/readyz')).body, 'ok\n')
  const { body } = await get('/readyz?verbose')
  assert.match(
    body,
    /^\[\+\]loop slot 0 .*\n\[\+\]lifecycle running\n\[\+\]reserve .*\n\[\+\]publish .*\nok\n$/,
  )
})

test('a relay that stops is not ready, says why, and stays live', async t => {
  const { get } = await setup(t, { health: () => ({ ...facts, stopping: true }) })
  assert.equal((await get('/livez')).status, 200)
  const { status, body } = await get('/readyz')
  assert.equal(status, 503)
  assert.equal(body, '[-]lifecycle stopping\nnot ok\n')
})

test('liveness speaks of loops alone', async t => {
  const { get } = await setup(t, {
    health: () => ({ ...facts, nowMs: 100, breakersOpen: ['cluster'] }),
  })
  const { status, body } = await get('/livez?verbose')
  assert.equal(status, 503)
  assert.equal(body, '[-]loop slot 0 last turn 0.1 s ago\nnot ok\n')
})

test('metrics come in the text format; when they cannot be had that is 503', async t => {
  const { get } = await setup(t)
  const { status, type, body } = await get('/metrics')
  assert.deepEqual([status, body], [200, 'up 1\n'])
  assert.match(type ?? '', /^text\/plain; version=0\.0\.4/)
  const broken = await setup(t, { metrics: () => Promise.reject(new Error('no')) })
  assert.equal((await broken.get('/metrics')).status, 503)
})

test('a health that throws is 500 and not the end of the server', async t => {
  let broken = true
  const health = () => {
    if (broken) throw new Error('no')
    return facts
  }
  const { get } = await setup(t, { health })
  assert.equal((await get('/livez')).status, 500)
  broken = false
  assert.equal((await get('/livez')).status, 200)
})

test('only GET and HEAD, and only what there is', async t => {
  const { get } = await setup(t)
  assert.equal((await get('/livez', 'POST')).status, 405)
  assert.deepEqual(await get('/livez', 'HEAD'), {
    status: 200,
    type: 'text/plain; charset=utf-8',
    body: '',
  })
  for (const path of ['/', '/livez/', '/../etc/passwd', '/constructor']) {
    assert.equal((await get(path)).status, 404)
  }
})

test('a port that is taken is an error when it was named, and else another one is found', async t => {
  const { server } = await setup(t)
  const port = Number(server.address.split(':')[1])
  await assert.rejects(
    setup(t, { port }),
    (error: unknown) => error instanceof SluiceError && error.code === 'options',
  )
  const { get } = await setup(t, { port, exact: false })
  assert.equal((await get('/livez')).status, 200)
})

test('stop does not wait for an answer that never comes, and may be called twice', async t => {
  let asked = () => {}
  const begun = new Promise<void>(resolve => {
    asked = resolve
  })
  const metrics = () => {
    asked()
    return new Promise<string>(() => {})
  }
  const { server, get } = await setup(t, { metrics })
  const cut = assert.rejects(get('/metrics'), /fetch failed/)
  await begun
  await Promise.all([server.stop(), server.stop(), cut])
  await assert.rejects(get('/livez'), /fetch failed/)
})
