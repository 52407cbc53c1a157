import { PubsubError } from './pubsub-error.ts'

/** Bytes that are no frame of a version that is known here. The message tells what is wrong, never what the bytes say. */
export class BadFrame extends PubsubError {
  constructor(message: string, cause?: unknown) {
    super('BadFrame', 'event', message, { cause })
  }
}
