/** Cuts a stream into frames whose length the bytes themselves tell. */
export class FrameSplitter {
  readonly #lengthOf: (start: Buffer) => number | undefined
  #chunks: Buffer[] = []
  #bytes = 0
  /** Of the frame at the front, once its start has told it. */
  #length: number | undefined

  /** @param lengthOf the whole length of the frame that begins here; undefined when more bytes are needed to tell */
  constructor(lengthOf: (start: Buffer) => number | undefined) {
    this.#lengthOf = lengthOf
  }

  /** The frames that are complete now, each with its length field. */
  push(chunk: Buffer): Buffer[] {
    this.#chunks.push(chunk)
    this.#bytes += chunk.length
    this.#length ??= this.#lengthOf(this.#start())
    // A large frame is put together once, not again for each of its chunks.
    if (this.#length === undefined || this.#bytes < this.#length) return []
    const frames: Buffer[] = []
    let rest = this.takeRest()
    for (;;) {
      const length = this.#lengthOf(rest)
      if (length === undefined || rest.length < length) {
        this.#length = length
        break
      }
      frames.push(rest.subarray(0, length))
      rest = rest.subarray(length)
    }
    if (rest.length > 0) this.#chunks.push(rest)
    this.#bytes = rest.length
    return frames
  }

  /** What has come in and belongs to no frame yet; it is forgotten here. */
  takeRest(): Buffer {
    const [only = Buffer.alloc(0)] = this.#chunks
    const rest = this.#chunks.length > 1 ? Buffer.concat(this.#chunks) : only
    this.#chunks = []
    this.#bytes = 0
    this.#length = undefined
    return rest
  }

  /** Enough bytes to read a length from. */
  #start(): Buffer {
    const [first = Buffer.alloc(0)] = this.#chunks
    if (first.length >= START_BYTES || this.#chunks.length < 2) return first
    return Buffer.concat(this.#chunks.slice(0, START_BYTES))
  }
}

const START_BYTES = 8
