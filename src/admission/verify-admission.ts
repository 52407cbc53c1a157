import type { AdmissionDesk } from './admission-desk.ts'
import {
  type Admission,
  AdmissionRefused,
  AdmissionTokens,
  type RefusalReason,
  type TokenSecret,
} from './admission-token.ts'

export type { Admission, RefusalReason, TokenSecret }
export { AdmissionRefused }

export interface VerifyOptions {
  /** What the waiting room signs with; several while keys are rotated. Each at least 32 bytes. */
  readonly secret: TokenSecret | readonly TokenSecret[]
  /** The event that is entered. */
  readonly eventId: string
  /** How far this machine's clock may be off. Default 0. */
  readonly clockToleranceSeconds?: number
}

/**
 * Whether a token admits its bearer to the event now, without a database and without a call.
 * @throws AdmissionRefused why not; SluiceError `options`: no secret, or one shorter than 32 bytes
 */
export async function verifyAdmission(
  token: string | null | undefined,
  options: VerifyOptions,
): Promise<Admission> {
  return verifyWith(tokensOf(options.secret), token, options)
}

/** What a guard needs of a request; those of node:http, fastify and express have it. */
export interface GuardedRequest {
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  /** Path and query. */
  readonly url?: string | undefined
}

export type GuardResult =
  | { readonly admitted: true; readonly admission: Admission }
  | { readonly admitted: false; readonly reason: RefusalReason }

/** The name of the query parameter and of the cookie. */
const PARAMETER = 'admission'

/**
 * A guard for the protected path. It looks for a token in `Authorization: Bearer`, in the query as `admission`, and
 * in the cookie `admission`; the first that admits counts.
 * @returns never rejects because of the request
 * @throws SluiceError `options`: no secret, or one shorter than 32 bytes
 */
export function admissionGuard(
  options: VerifyOptions,
): (request: GuardedRequest) => Promise<GuardResult> {
  const tokens = tokensOf(options.secret)
  return async request => {
    const refused = new Set<RefusalReason>()
    for (const token of tokensIn(request)) {
      try {
        return { admitted: true, admission: await verifyWith(tokens, token, options) }
      } catch (error) {
        if (!(error instanceof AdmissionRefused)) throw error
        refused.add(error.reason)
      }
    }
    return { admitted: false, reason: TELLING.find(reason => refused.has(reason)) ?? 'missing' }
  }
}

/** Which reason is told when several tokens were refused: the one closest to being let in. */
const TELLING = ['expired', 'other_event', 'signature', 'malformed'] as const

/**
 * The strict check: whether the session still holds its place, as the database has it. A token alone goes on for
 * as long as the lease that it was made for, also when its bearer has left before.
 * @throws SluiceError `database`
 */
export async function stillAdmitted(
  desk: Pick<AdmissionDesk, 'look'>,
  { sessionId, eventId }: Pick<Admission, 'sessionId' | 'eventId'>,
): Promise<boolean> {
  const session = await desk.look(sessionId)
  return session !== null && session.status === 'ACTIVE' && session.eventId === eventId
}

function tokensOf(secret: VerifyOptions['secret']): AdmissionTokens {
  const single = typeof secret === 'string' || secret instanceof Uint8Array
  return new AdmissionTokens(single ? [secret] : secret)
}

async function verifyWith(
  tokens: AdmissionTokens,
  token: string | null | undefined,
  { eventId, clockToleranceSeconds = 0 }: VerifyOptions,
): Promise<Admission> {
  if (!token) throw new AdmissionRefused('missing')
  return tokens.verify(token, { eventId, clockToleranceSeconds })
}

function tokensIn({ headers, url = '' }: GuardedRequest): string[] {
  const bearer = /^Bearer +(\S+)$/i.exec(single(headers.authorization))?.[1]
  const queryAt = url.indexOf('?')
  const query = queryAt < 0 ? null : new URLSearchParams(url.slice(queryAt)).get(PARAMETER)
  return [bearer, query, cookie(single(headers.cookie))].filter(token => !!token) as string[]
}

function cookie(header: string): string | undefined {
  const prefix = `${PARAMETER}=`
  const pair = header.split(';').find(part => part.trim().startsWith(prefix))
  return pair?.trim().slice(prefix.length)
}

function single(value: string | readonly string[] | undefined): string {
  return typeof value === 'string' ? value : (value?.[0] ?? '')
}
