import { SluiceError } from '../errors.ts'

export const EXIT_FATAL = 1
export const EXIT_USAGE = 2
export const EXIT_SCHEMA = 3
export const EXIT_FORCED = 130

/** 2 for bad options or a bad event, 3 for a schema that does not fit, 1 for everything else. */
export function exitCodeOf(error: unknown): number {
  const code = error instanceof SluiceError ? error.code : null
  if (code === 'options' || code === 'event') return EXIT_USAGE
  return code === 'schema' ? EXIT_SCHEMA : EXIT_FATAL
}
