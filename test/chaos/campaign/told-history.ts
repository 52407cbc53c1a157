import { once } from 'node:events'
import { createReadStream, createWriteStream } from 'node:fs'
import { createInterface } from 'node:readline'

/** Those whose kind is K, or may be. */
export type OfKind<H, K> = H extends { readonly kind: infer Kinds }
  ? K extends Kinds
    ? H
    : never
  : never

/** Happenings by their kind, each in the order in which they were told; kept in a file of one JSON line each. */
export class ToldHistory<H extends { readonly kind: string }> {
  readonly #told = new Map<string, H[]>()

  constructor(happenings: Iterable<H> = []) {
    for (const happening of happenings) this.tell(happening)
  }

  tell(happening: H): void {
    const same = this.#told.get(happening.kind)
    if (same) same.push(happening)
    else this.#told.set(happening.kind, [happening])
  }

  all<K extends H['kind']>(kind: K): readonly OfKind<H, K>[] {
    return (this.#told.get(kind) ?? []) as OfKind<H, K>[]
  }

  async write(file: string): Promise<void> {
    const stream = createWriteStream(file)
    for (const happenings of this.#told.values()) {
      for (const happening of happenings) {
        if (!stream.write(`${JSON.stringify(happening)}\n`)) await once(stream, 'drain')
      }
    }
    stream.end()
    await once(stream, 'close')
  }

  /** Also what a process wrote that was killed: its last line may be cut off. */
  async read(file: string): Promise<this> {
    const input = createReadStream(file)
    for await (const line of createInterface({ input, crlfDelay: Number.POSITIVE_INFINITY })) {
      const happening = parsed<H>(line)
      if (happening) this.tell(happening)
    }
    return this
  }
}

function parsed<H>(line: string): H | null {
  try {
    return line === '' ? null : (JSON.parse(line) as H)
  } catch {
    return null
  }
}
