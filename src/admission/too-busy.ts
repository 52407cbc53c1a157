/** More is waiting than there is room for; the same request may be made again later. */
export class TooBusy extends Error {
  override readonly name = 'TooBusy'
  readonly retryAfterMs: number

  constructor(message: string, retryAfterMs: number) {
    super(message)
    this.retryAfterMs = retryAfterMs
  }
}
