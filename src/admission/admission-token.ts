import { createHash, createSecretKey, type KeyObject } from 'node:crypto'
import { errors, type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { SluiceError } from '../errors.ts'

export const TOKEN_ISSUER = 'sluice-admission'
const ALGORITHM = 'HS256'
const SECRET_BYTES_MIN = 32
/** A longer text is no token of ours: ids of 200 characters of four bytes take half of it. */
const TOKEN_CHARS_MAX = 8_192

/** A secret as text (its UTF-8 bytes count) or as bytes, at least 32 of them. */
export type TokenSecret = string | Uint8Array

/** What a token says of its bearer. */
export interface Admission {
  readonly sessionId: string
  readonly eventId: string
  readonly userId: string
  /** The end of the lease when the token was made, in whole seconds. */
  readonly expiresAt: Date
}

export type RefusalReason = 'missing' | 'malformed' | 'signature' | 'expired' | 'other_event'

/** The bearer is not let in. The message holds nothing of the token. */
export class AdmissionRefused extends Error {
  override readonly name = 'AdmissionRefused'
  readonly reason: RefusalReason

  constructor(reason: RefusalReason) {
    super(TEXTS[reason])
    this.reason = reason
  }
}

const TEXTS: Readonly<Record<RefusalReason, string>> = {
  missing: 'no admission token was given',
  malformed: 'the admission token is not one of this kind',
  signature: 'the admission token was not signed by a known key',
  expired: 'the admission token has expired; ask for the session again',
  other_event: 'the admission token is for another event',
}

interface Key {
  readonly id: string
  readonly secret: KeyObject
}

/**
 * Signs and verifies admission tokens: JWTs with HS256. Keys rotate by adding the new one behind the old one
 * everywhere, then putting it in front, then dropping the old one once its tokens have expired.
 */
export class AdmissionTokens {
  readonly #keys: readonly Key[]

  /**
   * @param secrets the first signs, all verify
   * @throws SluiceError `options`: none, or one shorter than 32 bytes
   */
  constructor(secrets: readonly TokenSecret[]) {
    if (secrets.length === 0) {
      throw new SluiceError('options', 'the admission secret must be given; give at least one')
    }
    this.#keys = secrets.map(toKey)
  }

  /** @param session an active one */
  sign(session: {
    readonly sessionId: string
    readonly eventId: string
    readonly userId: string
    readonly leaseUntil: Date
  }): Promise<string> {
    const { id, secret } = this.#keys[0] as Key
    return new SignJWT({ sid: session.sessionId, evt: session.eventId })
      .setProtectedHeader({ alg: ALGORITHM, typ: 'JWT', kid: id })
      .setIssuer(TOKEN_ISSUER)
      .setSubject(session.userId)
      .setIssuedAt()
      .setExpirationTime(Math.floor(session.leaseUntil.getTime() / 1_000))
      .sign(secret)
  }

  /**
   * @param eventId the event that the bearer wants to get into
   * @throws AdmissionRefused
   */
  async verify(
    token: string,
    { eventId, clockToleranceSeconds = 0 }: { eventId: string; clockToleranceSeconds?: number },
  ): Promise<Admission> {
    if (token.length > TOKEN_CHARS_MAX) throw new AdmissionRefused('malformed')
    const claims = await this.#claims(token, clockToleranceSeconds)
    const { sub, sid, evt, exp } = claims
    if (typeof sub !== 'string' || typeof sid !== 'string' || typeof evt !== 'string') {
      throw new AdmissionRefused('malformed')
    }
    if (evt !== eventId) throw new AdmissionRefused('other_event')
    return { sessionId: sid, eventId: evt, userId: sub, expiresAt: new Date((exp ?? 0) * 1_000) }
  }

  async #claims(token: string, clockTolerance: number): Promise<JWTPayload> {
    try {
      const { payload } = await jwtVerify(token, ({ kid }) => this.#keyFor(kid), {
        algorithms: [ALGORITHM],
        issuer: TOKEN_ISSUER,
        requiredClaims: ['exp', 'iat', 'sub', 'sid', 'evt'],
        clockTolerance,
      })
      return payload
    } catch (error) {
      throw error instanceof AdmissionRefused ? error : new AdmissionRefused(reasonOf(error))
    }
  }

  #keyFor(id: string | undefined): KeyObject {
    const key = this.#keys.find(known => known.id === id)
    if (key === undefined) throw new AdmissionRefused('signature')
    return key.secret
  }
}

function toKey(secret: TokenSecret): Key {
  const bytes = typeof secret === 'string' ? Buffer.from(secret, 'utf8') : Buffer.from(secret)
  if (bytes.byteLength < SECRET_BYTES_MIN) {
    throw new SluiceError(
      'options',
      `the admission secret must have at least ${SECRET_BYTES_MIN} bytes; ` +
        'make one with: openssl rand -hex 32',
    )
  }
  const id = createHash('sha256').update(bytes).digest('hex').slice(0, 8)
  return { id, secret: createSecretKey(bytes) }
}

function reasonOf(error: unknown): RefusalReason {
  if (error instanceof errors.JWTExpired) return 'expired'
  if (error instanceof errors.JWSSignatureVerificationFailed) return 'signature'
  // `none`, or an algorithm that an attacker chose: whoever signed, it was not one of the keys.
  if (error instanceof errors.JOSEAlgNotAllowed) return 'signature'
  return 'malformed'
}
