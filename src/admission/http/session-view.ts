import type { AdmissionTokens } from '../admission-token.ts'
import type { Session } from '../session.ts'

/** A session as the API shows it; the user's id is left out, since whoever knows the session's id may look. */
export interface SessionView {
  readonly sessionId: string
  readonly eventId: string
  readonly status: Session['status']
  readonly position: number | null
  readonly ahead: number | null
  readonly estimatedWaitSeconds: number | null
  /** RFC 3339. */
  readonly leaseUntil: string | null
  readonly renewable: boolean
  /** Only while the session is active. */
  readonly token: string | null
  readonly targetUrl: string | null
}

export async function viewSession(session: Session, tokens: AdmissionTokens): Promise<SessionView> {
  const { sessionId, eventId, userId, status, position, estimatedWaitMs, renewable } = session
  const leaseUntil = status === 'ACTIVE' ? session.leaseUntil : null
  return {
    sessionId,
    eventId,
    status,
    position,
    ahead: position === null ? null : position - 1,
    estimatedWaitSeconds: estimatedWaitMs === null ? null : Math.ceil(estimatedWaitMs / 1_000),
    leaseUntil: leaseUntil?.toISOString() ?? null,
    renewable,
    token: leaseUntil && (await tokens.sign({ sessionId, eventId, userId, leaseUntil })),
    targetUrl: session.targetUrl,
  }
}

export function hasEnded({ status }: Session): boolean {
  return status !== 'WAITING' && status !== 'ACTIVE'
}

const POLL_SECONDS_MAX = 30
const PLACES_PER_POLL_SECOND = 100

/** How long one who waits may leave until the next look: a second for the first hundred, half a minute far behind. */
export function pollAfterSeconds(position: number | null): number {
  const seconds = Math.ceil((position ?? 1) / PLACES_PER_POLL_SECOND)
  return Math.min(POLL_SECONDS_MAX, Math.max(1, seconds))
}
