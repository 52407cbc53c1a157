const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i

/** Whether it can be the id of a session at all. */
export function isSessionId(text: string): boolean {
  return UUID.test(text)
}

/** Whether PostgreSQL takes it: neither its text nor its JSON holds NUL or half of a surrogate pair. */
export function isWritable(text: string): boolean {
  return !/\0|\p{Surrogate}/u.test(text)
}
