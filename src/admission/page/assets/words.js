// What the page says of places and times, in one wording for the server, which renders it, and the browser, which
// keeps it up to date.

const MINUTE_SECONDS = 60
const HOUR_SECONDS = 3_600
/** From here on single minutes would pretend to know more than anybody does. */
const ROUND_TO_FIVE_FROM_MINUTES = 20
const DAY_HOURS = 24

const numbers = new Intl.NumberFormat('en')

/**
 * @param {number | null} position
 * @returns {string}
 */
export function placeInWords(position) {
  return position === null ? '…' : numbers.format(position)
}

/**
 * @param {number | null} ahead
 * @returns {string}
 */
export function aheadInWords(ahead) {
  if (ahead === null) return 'Taking your place in line'
  if (ahead === 0) return 'You are next'
  return ahead === 1 ? '1 person ahead' : `${numbers.format(ahead)} people ahead`
}

/**
 * @param {number | null} seconds null: unknown
 * @returns {string}
 */
export function waitInWords(seconds) {
  return seconds === null ? 'not known yet' : spanInWords(seconds)
}

/**
 * @param {number} seconds
 * @returns {string} fits behind "for" and "in"
 */
export function spanInWords(seconds) {
  if (seconds < MINUTE_SECONDS) return 'less than a minute'
  const minutes = Math.round(seconds / MINUTE_SECONDS)
  if (minutes === 1) return 'about a minute'
  if (minutes < ROUND_TO_FIVE_FROM_MINUTES) return `about ${minutes} minutes`
  const rounded = Math.round(minutes / 5) * 5
  if (rounded < 60) return `about ${rounded} minutes`
  const hours = Math.round(seconds / HOUR_SECONDS)
  if (hours === 1) return 'about an hour'
  return hours < DAY_HOURS ? `about ${hours} hours` : 'more than a day'
}

/**
 * Of the browser's tab: short, what changes first.
 * @param {string} status
 * @param {number | null} position
 * @param {string} heading of the status
 * @returns {string}
 */
export function titleInWords(status, position, heading) {
  return status === 'WAITING' && position !== null ? `${placeInWords(position)} in line` : heading
}
