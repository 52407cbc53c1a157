import { createHash, timingSafeEqual } from 'node:crypto'
import { BlockList, isIPv6 } from 'node:net'
import type { FastifyRequest } from 'fastify'
import { SluiceError } from '../../errors.ts'
import { Problem } from './problem.ts'

/** What can be sent in a header as it is. */
const TOKEN = /^[\x21-\x7e]{16,}$/

const loopback = new BlockList()
loopback.addSubnet('127.0.0.0', 8, 'ipv4')
loopback.addAddress('::1', 'ipv6')

/** Throws a Problem for who is no admin; a hook for `onRequest`. */
export type AdminGate = (request: FastifyRequest) => Promise<void>

/**
 * With a token: whoever bears it. Without one: only a program on this machine, that is, a loopback peer that names
 * this machine in `Host`. A web page that was opened here is not one (a foreign origin, or a name that was rebound to
 * this machine), and neither is a client of a proxy that runs here.
 *
 * @throws SluiceError `options`: a token shorter than 16 characters, or with others than visible ASCII
 */
export function createAdminGate(adminToken: string | null): AdminGate {
  if (adminToken === null) return async request => admitLocal(request)
  if (!TOKEN.test(adminToken)) {
    throw new SluiceError(
      'options',
      'the admin token must have at least 16 visible ASCII characters and no others; ' +
        'make one with: openssl rand -hex 32',
    )
  }
  const expected = digest(adminToken)
  return async request => admitBearer(request, expected)
}

function admitBearer({ headers }: FastifyRequest, expected: Buffer): void {
  const given = /^Bearer +(\S+)$/i.exec(headers.authorization ?? '')?.[1] ?? ''
  // Of digests, so that neither the content nor the length can be found out by time.
  if (timingSafeEqual(digest(given), expected)) return
  throw new Problem('unauthorized', 'Send Authorization: Bearer with the admin token', {
    headers: { 'www-authenticate': 'Bearer realm="admission admin"' },
  })
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function admitLocal({ raw, headers }: FastifyRequest): void {
  const host = hostnameOf(`http://${headers.host ?? ''}`)
  const local = isLoopback(raw.socket.remoteAddress) && isLocalName(host) && !forwarded(headers)
  if (local && sameSite(headers)) return
  throw new Problem(
    'admin-closed',
    'No admin token is configured, so only programs on the same machine may make this call, by a loopback ' +
      'address; configure an admin token and send it as Authorization: Bearer',
  )
}

function isLoopback(address: string | undefined): boolean {
  if (address === undefined) return false
  return loopback.check(address, isIPv6(address) ? 'ipv6' : 'ipv4')
}

function hostnameOf(url: string): string | null {
  return URL.canParse(url) ? new URL(url).hostname : null
}

function isLocalName(hostname: string | null): boolean {
  if (hostname === null) return false
  return hostname === 'localhost' || isLoopback(hostname.replace(/^\[(.*)\]$/, '$1'))
}

type Headers = FastifyRequest['headers']

function forwarded(headers: Headers): boolean {
  return Object.keys(headers).some(
    name => name === 'forwarded' || name === 'via' || /^x-(forwarded|real-ip)/.test(name),
  )
}

/** What a browser says of the page that made it send the request; programs say nothing. */
function sameSite({ origin, host, ...headers }: Headers): boolean {
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return false
  return origin === undefined || (URL.canParse(origin) && new URL(origin).host === host)
}
