import { SluiceError } from '../errors.ts'
import { OpenRequest, type OpenRequestParts } from './open-request.ts'

/** The requests that wait for replies, by their correlation id. */
export class OpenRequests {
  readonly #max: number
  readonly #requests = new Map<string, OpenRequest>()
  #reserved = 0

  /** @param max requests at once, those that wait for a partition included */
  constructor(max: number) {
    this.#max = max
  }

  get size(): number {
    return this.#requests.size + this.#reserved
  }

  /** A place for a request that is about to be opened. @throws SluiceError `lifecycle`: there is none */
  reserve(): void {
    if (this.size >= this.#max) {
      throw new SluiceError(
        'lifecycle',
        `${this.size} requests are open, which is requests_max: wait until some have ended, or raise it`,
        { retryable: true },
      )
    }
    this.#reserved++
  }

  release(): void {
    this.#reserved--
  }

  /** @throws SluiceError `event`: one with the same correlation id is open */
  open(parts: OpenRequestParts): OpenRequest {
    if (this.#requests.has(parts.correlation_id)) {
      throw new SluiceError(
        'event',
        `request ${parts.request_id} is open already: wait for its end before it is sent again`,
      )
    }
    const request = new OpenRequest(parts)
    this.#requests.set(parts.correlation_id, request)
    return request
  }

  find(correlation_id: string | null): OpenRequest | undefined {
    return correlation_id === null ? undefined : this.#requests.get(correlation_id)
  }

  close(request: OpenRequest): void {
    request.close()
    this.#requests.delete(request.correlation_id)
  }

  /** Those whose replies nobody reads here any more. @returns how many */
  lose(isLost: (partition: number) => boolean): number {
    let lost = 0
    for (const request of this.#requests.values()) {
      if (request.ended || !isLost(request.partition)) continue
      request.lose()
      lost++
    }
    return lost
  }

  failAll(error: unknown): void {
    for (const request of this.#requests.values()) request.fail(error)
  }
}
