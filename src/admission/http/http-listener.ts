/** Is told what the server did; must not throw, and is not waited for. */
export interface HttpListener {
  /** @param route the route's pattern, or `none` */
  answered(route: string, status: number, durationSeconds: number): void
  joined(created: boolean): void
  /** How many event streams are open now. */
  streams(open: number): void
}
