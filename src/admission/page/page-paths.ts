/** Where a room's page is; joining is a POST to it. */
export function roomPath(eventId: string): string {
  return `/waiting-room/${encodeURIComponent(eventId)}`
}

export function sessionPath(sessionId: string): string {
  return `/waiting-room/sessions/${encodeURIComponent(sessionId)}`
}
