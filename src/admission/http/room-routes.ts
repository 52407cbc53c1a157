import type { FastifyInstance, FastifyRequest } from 'fastify'
import { SluiceError } from '../../errors.ts'
import type { Log } from '../../telemetry/log.ts'
import type { AdmissionDesk } from '../admission-desk.ts'
import type { Room } from '../room.ts'
import type { AdminGate } from './admin-gate.ts'
import { Problem } from './problem.ts'
import { changesOf, type RoomBody, readRoomBody, viewRoom } from './room-view.ts'
import { mustBe, roomBody, roomParams, roomsQuery } from './schemas.ts'
import { takeAnyBody } from './take-any-body.ts'

const ROOMS_PATH = '/api/waiting-room/rooms'
const ROOM_PATH = `${ROOMS_PATH}/:eventId`
/** How many the desk gives at once. */
const PAGE_SIZE = 1_000

export interface RoomRoutesOptions {
  readonly desk: AdmissionDesk
  readonly gate: AdminGate
  readonly log: Log
}

interface OfRoom {
  Params: { eventId: string }
}

/** What operators call. */
export async function roomRoutes(
  app: FastifyInstance,
  { desk, gate, log }: RoomRoutesOptions,
): Promise<void> {
  app.addHook('onRequest', gate)
  const change = async (request: FastifyRequest<OfRoom>, make: () => Promise<Room | null>) => {
    const { eventId } = request.params
    const before = await desk.room(eventId)
    const after = await make()
    if (after === null) throw unknownRoom()
    const changed = changesOf(before, after)
    if (changed) log.info({ peer: request.ip, room: eventId, changed }, 'room changed')
    return viewRoom(after)
  }
  app.get<{ Querystring: { after?: string } }>(
    ROOMS_PATH,
    { schema: { querystring: roomsQuery } },
    async ({ query: { after } }) => {
      const rooms = await desk.rooms(after)
      const next = rooms.length < PAGE_SIZE ? null : (rooms.at(-1)?.eventId ?? null)
      return { rooms: rooms.map(viewRoom), next }
    },
  )
  app.get<OfRoom>(ROOM_PATH, { schema: { params: roomParams } }, async ({ params }) => {
    const room = await desk.room(params.eventId)
    if (room === null) throw unknownRoom()
    return viewRoom(room)
  })
  app.put<OfRoom & { Body: RoomBody }>(
    ROOM_PATH,
    { schema: { params: roomParams, body: roomBody } },
    async request => change(request, () => setRoom(desk, request.params.eventId, request.body)),
  )
  await app.register(async posts => {
    takeAnyBody(posts)
    for (const [path, paused] of [
      [`${ROOM_PATH}/pause`, true],
      [`${ROOM_PATH}/resume`, false],
    ] as const) {
      posts.post<OfRoom>(path, { schema: { params: roomParams } }, async request =>
        change(request, () => desk.pauseRoom(request.params.eventId, paused)),
      )
    }
  })
}

async function setRoom(desk: AdmissionDesk, eventId: string, body: RoomBody): Promise<Room> {
  const settings = readRoomBody(body)
  try {
    return await desk.setRoom(eventId, settings)
  } catch (error) {
    const refused = error instanceof SluiceError && error.code === 'options'
    if (!refused || settings.capacity !== undefined) throw error
    // All that is given was checked before: what is missing is what only a new room needs.
    const errors = [{ field: 'capacity', mustBe: `given for a new room: ${mustBe('capacity')}` }]
    throw new Problem('bad-input', 'See errors: capacity', { errors, cause: error })
  }
}

function unknownRoom(): Problem {
  return new Problem('unknown-room', 'Make it with PUT and a capacity')
}
