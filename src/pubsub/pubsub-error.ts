import { type ErrorCode, SluiceError, type SluiceErrorOptions } from '../errors.ts'

/** A SluiceError with a name of its own. */
export abstract class PubsubError extends SluiceError {
  constructor(name: string, code: ErrorCode, message: string, options?: SluiceErrorOptions) {
    super(code, message, options)
    Object.defineProperty(this, 'name', { value: name, configurable: true })
  }
}
