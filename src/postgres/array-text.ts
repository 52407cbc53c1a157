/** An array of numbers in PostgreSQL's text form. One text parameter costs postgres.js far less than an array. */
export function arrayText(numbers: readonly (number | string | bigint)[]): string {
  return `{${numbers.join(',')}}`
}
