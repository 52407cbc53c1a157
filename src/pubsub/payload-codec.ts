import { BadFrame } from './bad-frame.ts'

/** Makes questions bytes, and the bytes of replies answers. */
export interface PayloadCodec<Q, A> {
  encode(question: Q): Uint8Array
  /** May throw: the reply was then not understood. */
  decode(payload: Uint8Array): A
}

const UTF8 = new TextDecoder('utf-8', { fatal: true })

/**
 * JSON in UTF-8.
 * @param check turns what was parsed into an A, or throws. Without it anything is taken for an A
 */
export function json_payload<Q, A>(
  check: (value: unknown) => A = value => value as A,
): PayloadCodec<Q, A> {
  return {
    encode: question => Buffer.from(JSON.stringify(question) ?? 'null', 'utf8'),
    decode: payload => check(parsed(textOf(payload))),
  }
}

/** Text in UTF-8. */
export function text_payload(): PayloadCodec<string, string> {
  return { encode: question => Buffer.from(question, 'utf8'), decode: textOf }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    // The parser's message quotes what it read.
    throw new BadFrame(`the payload is not JSON (${text.length} characters)`)
  }
}

function textOf(payload: Uint8Array): string {
  try {
    return UTF8.decode(payload)
  } catch {
    throw new BadFrame(`the payload is not UTF-8 (${payload.length} bytes)`)
  }
}
