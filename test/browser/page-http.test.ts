import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { test } from 'node:test'
import { until } from '../support/until.ts'
import { DEADLINE_MS } from './visitor.ts'
import { openSite } from './waiting-site.ts'

function post(url: string, headers: Record<string, string> = {}): Promise<Response> {
  const type = { 'content-type': 'application/x-www-form-urlencoded' }
  return fetch(url, { method: 'POST', headers: { ...type, ...headers }, redirect: 'manual' })
}

test('a form that another site sends does nothing', async t => {
  const site = await openSite(t)
  await site.desk.setRoom('concert', { capacity: 1 })
  const room = `${site.url}/waiting-room/concert`
  const { sessionId } = await site.desk.join({ eventId: 'concert', userId: 'ann' })
  const leave = `${site.url}/waiting-room/sessions/${sessionId}/leave`
  const foreign: Record<string, string>[] = [
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { origin: 'https://evil.example' },
    { origin: 'null' },
  ]
  for (const headers of foreign) {
    for (const url of [room, leave]) assert.equal((await post(url, headers)).status, 403)
  }
  assert.equal((await site.desk.look(sessionId))?.status, 'WAITING')
  const [row] = await site.sql`select count(*)::int as sessions from admission.sessions`
  assert.equal(row!.sessions, 1)

  const own: Record<string, string>[] = [
    { 'sec-fetch-site': 'same-origin' },
    { origin: site.url },
    {},
  ]
  for (const headers of own) assert.equal((await post(room, headers)).status, 303)
})

test('opening the address of a form leads to the session and changes nothing', async t => {
  const site = await openSite(t)
  await site.desk.setRoom('concert', { capacity: 1 })
  const { sessionId } = await site.desk.join({ eventId: 'concert', userId: 'ann' })
  for (const deed of ['leave', 'heartbeat']) {
    const path = `/waiting-room/sessions/${sessionId}`
    const answer = await fetch(`${site.url}${path}/${deed}`, { redirect: 'manual' })
    assert.equal(answer.status, 303)
    assert.equal(answer.headers.get('location'), path)
  }
  assert.equal((await site.desk.look(sessionId))?.status, 'WAITING')
})

test('the visitor is known by a cookie that scripts do not see, sent back only by TLS where it came by TLS', async t => {
  const site = await openSite(t)
  await site.desk.setRoom('concert', { capacity: 1 })
  const room = `${site.url}/waiting-room/concert`
  const first = await post(room)
  const cookie = String(first.headers.get('set-cookie'))
  assert.match(
    cookie,
    /^sluice-visitor=[\w-]{22}; Max-Age=\d+; Path=\/waiting-room; HttpOnly; SameSite=Lax$/,
  )
  const again = await post(room, { cookie: cookie.split(';')[0]! })
  assert.equal(again.headers.get('location'), first.headers.get('location'))
  const other = await post(room, { 'x-forwarded-proto': 'https', cookie: 'sluice-visitor=made-up' })
  const replaced = /^sluice-visitor=[\w-]{22}; .*HttpOnly; Secure; SameSite=Lax$/
  assert.match(String(other.headers.get('set-cookie')), replaced)
  assert.notEqual(other.headers.get('location'), first.headers.get('location'))
})

test('joins by the page are limited like any others', async t => {
  const site = await openSite(t, { joinsPerSecond: 1 })
  await site.desk.setRoom('concert', { capacity: 1 })
  const room = `${site.url}/waiting-room/concert`
  const answers = await Promise.all(Array.from({ length: 10 }, () => post(room)))
  assert.deepEqual([...new Set(answers.map(({ status }) => status))].sort(), [303, 429])
  const refused = answers.find(({ status }) => status === 429)!
  assert.ok(Number(refused.headers.get('retry-after')) >= 1)
  assert.match(await refused.text(), /<h1>Too many joins from your network<\/h1>/)
})

test('what there is not has a page that says so', async t => {
  const site = await openSite(t)
  const gets: [string, RegExp][] = [
    ['nowhere', /no such room/],
    ['x'.repeat(201), /no such room/],
    ['a%00b', /no such room/],
    [`sessions/${randomUUID()}`, /place is not known/],
    [`sessions/${randomUUID()}/enter`, /place is not known/],
    ['sessions/no-id', /place is not known/],
    ['assets/0/page.ts', /nothing here/],
    ['assets/0/..%2fpage-layout.ts', /nothing here/],
    ['a/b/c/d', /nothing here/],
    ['', /no such room/],
  ]
  for (const [path, text] of gets) {
    const answer = await fetch(`${site.url}/waiting-room/${path}`)
    assert.equal(answer.status, 404, path)
    assert.match(String(answer.headers.get('content-type')), /^text\/html/)
    assert.match(await answer.text(), text, path)
  }
  for (const path of ['nowhere', `sessions/${randomUUID()}/leave`, `sessions/x/heartbeat`]) {
    assert.equal((await post(`${site.url}/waiting-room/${path}`)).status, 404, path)
  }
})

test('pages are not kept, not framed, and load nothing from elsewhere; their files are kept for ever', async t => {
  const site = await openSite(t)
  await site.desk.setRoom('concert', { capacity: 1 })
  for (const path of ['concert', 'nowhere']) {
    const { headers } = await fetch(`${site.url}/waiting-room/${path}`)
    const policy = String(headers.get('content-security-policy'))
    for (const rule of ["default-src 'none'", "script-src 'self'", "frame-ancestors 'none'"]) {
      assert.ok(policy.includes(rule), `${path}: ${policy}`)
    }
    assert.doesNotMatch(policy, /unsafe|https?:|\*/)
    assert.equal(headers.get('cache-control'), 'no-store')
    assert.equal(headers.get('x-content-type-options'), 'nosniff')
    assert.equal(headers.get('referrer-policy'), 'same-origin')
  }
  const page = await (await fetch(`${site.url}/waiting-room/concert`)).text()
  const style = /href="([^"]+\.css)"/.exec(page)![1]!
  const file = await fetch(site.url + style)
  assert.equal(file.headers.get('content-type'), 'text/css; charset=utf-8')
  assert.match(String(file.headers.get('cache-control')), /immutable/)
  const older = await fetch(`${site.url}/waiting-room/assets/0123456789abcdef/page.css`)
  assert.equal(older.headers.get('cache-control'), 'no-cache')
  assert.equal(await older.text(), await file.text())
})

test('only who is let in is led on, and only by the web', async t => {
  const site = await openSite(t)
  await site.desk.setRoom('concert', { capacity: 1, targetUrl: 'https://shop.example/?a=1' })
  const sessions = []
  for (const userId of ['ann', 'ben']) {
    sessions.push(await site.desk.join({ eventId: 'concert', userId }))
    await site.turn('concert')
  }
  const [ann, ben] = sessions.map(({ sessionId }) => `/waiting-room/sessions/${sessionId}`)
  const enter = async (path: string | undefined) => {
    const answer = await fetch(`${site.url}${path}/enter`, { redirect: 'manual' })
    assert.equal(answer.status, 303)
    return String(answer.headers.get('location'))
  }
  assert.match(
    await enter(ann),
    /^https:\/\/shop\.example\/\?a=1&admission=[\w-]+\.[\w-]+\.[\w-]+$/,
  )
  assert.equal(await enter(ben), ben)
  await site.sql`update admission.rooms set target_url = 'javascript:alert(1)'`
  await until(async () => (await enter(ann)) === ann, {
    deadlineMs: DEADLINE_MS,
    what: 'a script is no way on',
  })
})
