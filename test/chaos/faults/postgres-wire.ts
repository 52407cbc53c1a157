import { FrameSplitter } from './frame-splitter.ts'

const LENGTH_BYTES = 4
const TYPE_BYTES = 1
const STARTUP_CODE_AT = 4
/** The answer to these is a single byte. */
const ENCRYPTION_REQUESTS: readonly number[] = [80_877_103, 80_877_104]
const CANCEL_REQUEST = 80_877_102

/** Messages of PostgreSQL's protocol: a type and a length that counts itself but not the type. */
export function typedMessages(): FrameSplitter {
  return new FrameSplitter(start =>
    start.length < TYPE_BYTES + LENGTH_BYTES
      ? undefined
      : TYPE_BYTES + start.readInt32BE(TYPE_BYTES),
  )
}

/** What a client sends first: without a type. */
export function startupMessages(): FrameSplitter {
  return new FrameSplitter(start =>
    start.length < LENGTH_BYTES ? undefined : start.readInt32BE(0),
  )
}

/** `startup`: typed messages follow. */
export function startupKind(message: Buffer): 'encryption' | 'cancel' | 'startup' {
  const code = message.readInt32BE(STARTUP_CODE_AT)
  if (ENCRYPTION_REQUESTS.includes(code)) return 'encryption'
  return code === CANCEL_REQUEST ? 'cancel' : 'startup'
}

export function typeOf(message: Buffer): string {
  return String.fromCharCode(message.readUInt8(0))
}

/** The texts that a message begins with. */
export function textsOf(message: Buffer, count: number): string[] {
  const texts: string[] = []
  for (let at = TYPE_BYTES + LENGTH_BYTES; texts.length < count; ) {
    const end = message.indexOf(0, at)
    texts.push(message.toString('utf8', at, end))
    at = end + 1
  }
  return texts
}
