import { Counter, Gauge, Histogram, type Registry } from 'prom-client'
import type { HttpListener } from '../admission/http/http-listener.ts'
import type { Room } from '../admission/room.ts'
import { LabelSet } from './label-set.ts'

const ROOMS_MAX = 100
const ROUTES_MAX = 50
const DURATION_BUCKETS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

/** How many sessions a turn moved to which end. */
export interface TurnCounts {
  readonly granted: number
  readonly left: number
  readonly expired: number
  readonly abandoned: number
}

export interface AdmissionMetrics extends HttpListener {
  /** To be told each turn after its commit. */
  turned(counts: TurnCounts): void
}

export interface AdmissionMetricsOptions {
  /** Asked at each collection; of more than 100 rooms the first 100 are shown. A rejection leaves them out. */
  readonly rooms: () => Promise<readonly Room[]>
}

/**
 * Counts what one process of admission does, and shows its rooms.
 *
 * @param registry the one to add to
 * @throws Error when it has one of the names already: call this once for it
 */
export function createAdmissionMetrics(
  registry: Registry,
  { rooms }: AdmissionMetricsOptions,
): AdmissionMetrics {
  showRooms(registry, rooms)
  return { ...countTurns(registry), ...countRequests(registry) }
}

function countTurns(registry: Registry): Pick<AdmissionMetrics, 'turned'> {
  const turned = new Counter({
    name: 'admission_turned_total',
    help: 'Sessions by what became of them: granted, left, expired, abandoned',
    labelNames: ['to'],
    registers: [registry],
  })
  return {
    turned({ granted, left, expired, abandoned }) {
      turned.inc({ to: 'granted' }, granted)
      turned.inc({ to: 'left' }, left)
      turned.inc({ to: 'expired' }, expired)
      turned.inc({ to: 'abandoned' }, abandoned)
    },
  }
}

function countRequests(registry: Registry): HttpListener {
  const joins = new Counter({
    name: 'admission_joins_total',
    help: 'Joins answered, by whether a session was made or the open one found',
    labelNames: ['session'],
    registers: [registry],
  })
  const requests = new Counter({
    name: 'admission_http_requests_total',
    help: 'Requests answered, by route and class of status',
    labelNames: ['route', 'status'],
    registers: [registry],
  })
  const duration = new Histogram({
    name: 'admission_http_request_duration_seconds',
    help: 'Time from a request to its answer; event streams are left out',
    labelNames: ['route'],
    buckets: DURATION_BUCKETS,
    registers: [registry],
  })
  const streams = new Gauge({
    name: 'admission_streams_open',
    help: 'Event streams open',
    registers: [registry],
  })
  const routes = new LabelSet(ROUTES_MAX)
  return {
    joined: created => joins.inc({ session: created ? 'made' : 'found' }),
    streams: open => streams.set(open),
    answered(pattern, status, durationSeconds) {
      const route = routes.bound(pattern)
      requests.inc({ route, status: `${Math.floor(status / 100)}xx` })
      if (!pattern.endsWith('/events')) duration.observe({ route }, durationSeconds)
    },
  }
}

function showRooms(registry: Registry, rooms: () => Promise<readonly Room[]>): void {
  let asked: Promise<void> | undefined
  // A registry collects all of its metrics at once: they share one question.
  const collect = () => {
    asked ??= show().finally(() => {
      asked = undefined
    })
    return asked
  }
  const gauge = (name: string, help: string) =>
    new Gauge({ name, help, labelNames: ['room'], registers: [registry], collect })
  const waiting = gauge('admission_room_waiting', 'Numbered sessions that wait')
  const active = gauge('admission_room_active', 'Sessions that are let in')
  const capacity = gauge('admission_room_capacity', 'Sessions that may be let in at once')
  const show = async () => {
    const shown = await rooms().catch(() => [])
    for (const one of [waiting, active, capacity]) one.reset()
    for (const room of shown.slice(0, ROOMS_MAX)) {
      const labels = { room: room.eventId }
      waiting.set(labels, room.waiting)
      active.set(labels, room.active)
      capacity.set(labels, room.capacity)
    }
  }
}
