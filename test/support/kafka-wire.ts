const PRODUCE = 0
const METADATA = 3
/** From this version on strings of Metadata are compact. */
const METADATA_COMPACT_FROM = 9
const GATE_HOST = Buffer.from('127.0.0.1')

export interface RequestHead {
  readonly isProduce: boolean
  readonly correlationId: number
}

/** Cuts one connection's bytes into frames of Kafka's protocol and puts gates for brokers into metadata. */
export class KafkaWire {
  readonly #ports: ReadonlyMap<string, number>
  /** Metadata requests on the way: by correlation id, whether their answers have compact strings. */
  readonly #metadata = new Map<number, boolean>()
  #fromClient: Buffer = Buffer.alloc(0)
  #fromBroker: Buffer = Buffer.alloc(0)

  /** @param ports by `host:port` of each broker, the port on 127.0.0.1 that stands for it */
  constructor(ports: ReadonlyMap<string, number>) {
    this.#ports = ports
  }

  /** The requests that are whole by now. */
  requests(chunk: Buffer): { head: RequestHead; bytes: Buffer }[] {
    const { frames, rest } = framesOf(Buffer.concat([this.#fromClient, chunk]))
    this.#fromClient = rest
    return frames.map(bytes => {
      const api = bytes.readInt16BE(4)
      const correlationId = bytes.readInt32BE(8)
      if (api === METADATA)
        this.#metadata.set(correlationId, bytes.readInt16BE(6) >= METADATA_COMPACT_FROM)
      return { head: { isProduce: api === PRODUCE, correlationId }, bytes }
    })
  }

  /** The answers that are whole by now. */
  answers(chunk: Buffer): { correlationId: number; bytes: Buffer }[] {
    const { frames, rest } = framesOf(Buffer.concat([this.#fromBroker, chunk]))
    this.#fromBroker = rest
    return frames.map(bytes => {
      const correlationId = bytes.readInt32BE(4)
      const compact = this.#metadata.get(correlationId)
      this.#metadata.delete(correlationId)
      return { correlationId, bytes: compact === undefined ? bytes : this.#gated(bytes, compact) }
    })
  }

  #gated(answer: Buffer, compact: boolean): Buffer {
    let body = answer.subarray(4)
    for (const [address, gatePort] of this.#ports) {
      const [host = '', port] = address.split(/:(?=\d+$)/)
      const known = addressBytes(Buffer.from(host), Number(port), compact)
      const at = body.indexOf(known)
      if (at === -1) continue
      const gate = addressBytes(GATE_HOST, gatePort, compact)
      body = Buffer.concat([body.subarray(0, at), gate, body.subarray(at + known.length)])
    }
    const size = Buffer.alloc(4)
    size.writeInt32BE(body.length)
    return Buffer.concat([size, body])
  }
}

/** A broker’s address as it stands in an answer: length of the host, host, port. */
function addressBytes(host: Buffer, port: number, compact: boolean): Buffer {
  const bytes = Buffer.alloc(compact ? 1 : 2)
  if (compact) bytes.writeUInt8(host.length + 1)
  else bytes.writeInt16BE(host.length)
  const end = Buffer.alloc(4)
  end.writeInt32BE(port)
  return Buffer.concat([bytes, host, end])
}

function framesOf(bytes: Buffer): { frames: Buffer[]; rest: Buffer } {
  const frames: Buffer[] = []
  let at = 0
  while (bytes.length - at >= 4) {
    const end = at + 4 + bytes.readInt32BE(at)
    if (end > bytes.length) break
    frames.push(bytes.subarray(at, end))
    at = end
  }
  return { frames, rest: bytes.subarray(at) }
}
