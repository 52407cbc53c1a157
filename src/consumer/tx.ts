import type postgres from 'postgres'

/**
 * An open transaction of postgres.js: tagged templates, `unsafe`, `json`, `array` and `savepoint`. It refuses
 * statements once it has ended, also those of a handler that was given up.
 */
export type Tx = postgres.ISql<Record<string, unknown>> & {
  savepoint<T>(work: (tx: Tx) => Promise<T>): Promise<T>
}
