import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import Fastify from 'fastify'
import { AdmissionRefused, AdmissionTokens } from '../../../src/admission/admission-token.ts'
import { admissionGuard, verifyAdmission } from '../../../src/admission/verify-admission.ts'
import { SluiceError } from '../../../src/errors.ts'
import { cleanup } from '../../support/cleanup.ts'

const SECRET = 'a secret of thirty-two bytes or more'
const OTHER = 'another secret of thirty-two bytes, too'
const session = {
  sessionId: '6f0d0cb0-58fb-4b4b-a1f9-6f1b1c8d8f10',
  eventId: 'concert-1',
  userId: 'ada',
  leaseUntil: new Date(Math.floor(Date.now() / 1_000) * 1_000 + 60_789),
}

const sign = (secret: string, changes: Partial<typeof session> = {}) =>
  new AdmissionTokens([secret]).sign({ ...session, ...changes })

const verify = (token: string | null | undefined, secret: string | string[] = SECRET) =>
  verifyAdmission(token, { secret, eventId: 'concert-1' })

function refused(reason: string) {
  return (error: unknown) => error instanceof AdmissionRefused && error.reason === reason
}

const base64 = (value: object) => Buffer.from(JSON.stringify(value)).toString('base64url')

/** A token with any header and claims, signed by hand. */
function forge(header: object, claims: object, secret = SECRET, hash = 'sha256'): string {
  const body = `${base64(header)}.${base64(claims)}`
  return `${body}.${createHmac(hash, secret).update(body).digest('base64url')}`
}

function partsOf(token: string): { header: Record<string, unknown>; claims: object } {
  const [header, claims] = token.split('.')
  const read = (part = '') => JSON.parse(Buffer.from(part, 'base64url').toString())
  return { header: read(header), claims: read(claims) }
}

test('a token says who is admitted to what, until the whole second of the lease', async () => {
  const { sessionId, eventId, userId } = session
  const expiresAt = new Date(Math.floor(session.leaseUntil.getTime() / 1_000) * 1_000)
  const token = await sign(SECRET)
  assert.deepEqual(await verify(token), { sessionId, eventId, userId, expiresAt })
  const { header, claims } = partsOf(token)
  assert.equal(header.alg, 'HS256')
  assert.match(String(header.kid), /^[0-9a-f]{8}$/)
  assert.equal((claims as { iss: string }).iss, 'sluice-admission')
})

test('ids in any script survive the token', async () => {
  const odd = { userId: '𝒜'.repeat(200), eventId: 'concert-1' }
  assert.equal((await verify(await sign(SECRET, odd))).userId, odd.userId)
})

test('no token at all is missing', async () => {
  for (const token of [null, undefined, '']) await assert.rejects(verify(token), refused('missing'))
})

test('a text that is no token is malformed', async () => {
  for (const token of ['x', 'a.b.c', '..', `${'a'.repeat(9_000)}`, base64({}), '🙂.🙂.🙂']) {
    await assert.rejects(verify(token), refused('malformed'), token.slice(0, 20))
  }
})

test('a token signed by another key is refused, whatever key it names', async () => {
  const stranger = await sign(OTHER)
  await assert.rejects(verify(stranger), refused('signature'))
  const { header } = partsOf(await sign(SECRET))
  const { claims } = partsOf(stranger)
  await assert.rejects(verify(forge(header, claims, OTHER)), refused('signature'))
  const { kid: _kid, ...unnamed } = header
  await assert.rejects(verify(forge(unnamed, claims, SECRET)), refused('signature'))
})

test('a changed claim is refused', async () => {
  const [header, , signature] = (await sign(SECRET)).split('.')
  const { claims } = partsOf(await sign(SECRET))
  const changed = `${header}.${base64({ ...claims, exp: 4e9 })}.${signature}`
  await assert.rejects(verify(changed), refused('signature'))
})

test('alg none and every other algorithm are refused, signed or not', async () => {
  const { header, claims } = partsOf(await sign(SECRET))
  for (const alg of ['none', 'None', 'HS384', 'HS512', 'RS256', 'ES256']) {
    const named = { ...header, alg }
    const unsigned = `${base64(named)}.${base64(claims)}.`
    await assert.rejects(verify(unsigned), AdmissionRefused, alg)
    await assert.rejects(verify(forge(named, claims)), refused('signature'), alg)
  }
  for (const bits of [384, 512]) {
    const token = forge({ ...header, alg: `HS${bits}` }, claims, SECRET, `sha${bits}`)
    await assert.rejects(verify(token), refused('signature'), 'rightly signed by the key')
  }
})

test('an expired token is refused, unless the clock may be off by so much', async () => {
  const token = await sign(SECRET, { leaseUntil: new Date(Date.now() - 5_000) })
  await assert.rejects(verify(token), refused('expired'))
  const tolerant = { secret: SECRET, eventId: 'concert-1', clockToleranceSeconds: 30 }
  assert.equal((await verifyAdmission(token, tolerant)).userId, 'ada')
})

test('a token without an expiry, or of another issuer, is no token of ours', async () => {
  const { header, claims } = partsOf(await sign(SECRET))
  for (const wrong of [{ exp: undefined }, { iss: 'shop' }, { sid: undefined }, { sub: 7 }]) {
    const token = forge(header, { ...claims, ...wrong })
    await assert.rejects(verify(token), refused('malformed'), JSON.stringify(wrong))
  }
})

test('a token for one event does not open another', async () => {
  const token = await sign(SECRET, { eventId: 'concert-2' })
  await assert.rejects(verify(token), refused('other_event'))
})

test('keys rotate: the first signs, all verify, and a dropped one no longer does', async () => {
  const old = await sign(OTHER)
  const fresh = await new AdmissionTokens([SECRET, OTHER]).sign(session)
  for (const token of [old, fresh])
    assert.equal((await verify(token, [SECRET, OTHER])).userId, 'ada')
  assert.equal((await verify(fresh, SECRET)).userId, 'ada')
  await assert.rejects(verify(old, SECRET), refused('signature'))
})

test('a secret that is short, or none, is refused with a cure that does not repeat it', async () => {
  const refusedSecret = (error: unknown) =>
    error instanceof SluiceError && error.code === 'options' && !error.message.includes('hunter2')
  assert.throws(() => new AdmissionTokens(['hunter2']), refusedSecret)
  assert.throws(() => new AdmissionTokens([]), refusedSecret)
  assert.throws(() => admissionGuard({ secret: [SECRET, 'hunter2'], eventId: 'e' }), refusedSecret)
  await assert.rejects(verify('x', 'hunter2'), refusedSecret)
  assert.ok(new AdmissionTokens(['ä'.repeat(16)]), 'bytes count, not characters')
})

const guard = admissionGuard({ secret: SECRET, eventId: 'concert-1' })

test('a guard finds the token in the header, in the query and in the cookie', async () => {
  const token = await sign(SECRET)
  const requests = [
    { headers: { authorization: `Bearer ${token}` } },
    { headers: {}, url: `/seats?row=1&admission=${token}` },
    { headers: { cookie: `theme=dark; admission=${token}; x=y` }, url: '/seats' },
  ]
  for (const request of requests) {
    const result = await guard(request)
    assert.ok(result.admitted && result.admission.userId === 'ada')
  }
})

test('a guard lets in by a fresh token in the query, although an expired one is in the cookie', async () => {
  const expired = await sign(SECRET, { leaseUntil: new Date(Date.now() - 5_000) })
  const headers = { authorization: 'Bearer of-another-system', cookie: `admission=${expired}` }
  const url = `/?admission=${await sign(SECRET)}`
  assert.equal((await guard({ headers, url })).admitted, true)
  assert.deepEqual(await guard({ headers }), { admitted: false, reason: 'expired' })
})

test('a guard says why it refuses, and never rejects because of a request', async () => {
  assert.deepEqual(await guard({ headers: {} }), { admitted: false, reason: 'missing' })
  assert.deepEqual(await guard({ headers: { cookie: 'admission=' }, url: '/?admission=' }), {
    admitted: false,
    reason: 'missing',
  })
  for (const url of ['?admission=%zz', '/%?admission=%00', `/?admission=${'.'.repeat(10_000)}`]) {
    assert.deepEqual(await guard({ headers: {}, url }), { admitted: false, reason: 'malformed' })
  }
})

test('a guard takes the requests of node:http and of fastify as they are', async t => {
  const token = await sign(SECRET)
  const tell = ({ admitted }: { admitted: boolean }) => (admitted ? 'in' : 'out')
  const app = Fastify()
  app.get('/', async request => tell(await guard(request)))
  app.get('/raw', async request => tell(await guard(request.raw)))
  cleanup(t, () => app.close())
  for (const path of ['/', '/raw']) {
    const url = `${path}?admission=${token}`
    const headers = { authorization: `Bearer ${token}` }
    const cookies = { cookie: `admission=${token}` }
    for (const request of [{ url }, { url: path, headers }, { url: path, headers: cookies }]) {
      assert.equal((await app.inject(request)).body, 'in', JSON.stringify(request))
    }
    assert.equal((await app.inject({ url: path })).body, 'out')
  }
})
