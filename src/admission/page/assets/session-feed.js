// News of one session: from the server's stream while that works, by asking again and again while it does not.

/** The stream says nothing while nothing changes, nor when its connection died unseen: ask after so long a silence. */
const SILENCE_MS = 45_000
const FIRST_LOOK_MS = { min: 1_000, max: 3_000 }
const LOOK_MS = { default: 5_000, min: 1_000, max: 30_000 }
const FAILED_LOOK_MS = { first: 2_000, max: 30_000 }
const LOOK_TIMEOUT_MS = 10_000
/** A stream that was refused is asked for again after so long. */
const REOPEN_MS = 20_000
const EVENTS = ['snapshot', 'position', 'active', 'ended']

export class SessionFeed {
  #address
  #onNews
  #onConnection
  #source = null
  #timer
  #reopenAt = 0
  #failures = 0
  #stopped = true
  #looking = false

  /**
   * @param {string} sessionId
   * @param {{ onNews: (news: object) => void, onConnection: (connected: boolean) => void }} listener `onNews` gets the
   *   session, or what has changed of it
   */
  constructor(sessionId, { onNews, onConnection }) {
    this.#address = `/api/waiting-room/sessions/${encodeURIComponent(sessionId)}`
    this.#onNews = onNews
    this.#onConnection = onConnection
  }

  start() {
    if (!this.#stopped) return
    this.#stopped = false
    this.#failures = 0
    this.#reopenAt = 0
    this.#openStream()
    this.#lookIn(between(FIRST_LOOK_MS))
  }

  stop() {
    this.#stopped = true
    clearTimeout(this.#timer)
    this.#source?.close()
    this.#source = null
  }

  /** Asks at once, as when the page is looked at again. */
  refresh() {
    if (this.#stopped) return
    this.#reopenAt = 0
    this.#lookIn(0)
  }

  #openStream() {
    if (Date.now() < this.#reopenAt) return
    this.#reopenAt = Date.now() + REOPEN_MS
    this.#source?.close()
    const source = new EventSource(`${this.#address}/events`)
    this.#source = source
    source.addEventListener('open', () => this.#heard())
    // The browser connects again by itself after a cut, not after a refusal.
    source.addEventListener('error', () => {
      if (!this.#stopped && source === this.#source) this.#lookIn(between(FIRST_LOOK_MS))
    })
    for (const name of EVENTS) {
      source.addEventListener(name, event => {
        this.#heard()
        this.#onNews(JSON.parse(event.data))
      })
    }
  }

  #heard() {
    if (this.#stopped) return
    this.#failures = 0
    this.#onConnection(true)
    this.#lookIn(SILENCE_MS)
  }

  #lookIn(delayMs) {
    clearTimeout(this.#timer)
    this.#timer = setTimeout(() => this.#look(), delayMs)
  }

  async #look() {
    if (this.#stopped || this.#looking) return
    this.#looking = true
    const waitMs = await this.#ask()
    this.#looking = false
    if (this.#stopped) return
    if (this.#source?.readyState === EventSource.CLOSED) this.#openStream()
    this.#lookIn(this.#source?.readyState === EventSource.OPEN ? SILENCE_MS : waitMs)
  }

  /** @returns {Promise<number>} when to ask again without a stream, in milliseconds */
  async #ask() {
    try {
      const response = await fetch(this.#address, {
        headers: { accept: 'application/json' },
        cache: 'no-store',
        signal: AbortSignal.timeout(LOOK_TIMEOUT_MS),
      })
      // The session is forgotten: the page that the server makes now says so.
      if (response.status === 404) location.reload()
      if (!response.ok) throw new Error(`answered with ${response.status}`)
      const news = await response.json()
      if (this.#stopped) return 0
      this.#failures = 0
      this.#onConnection(true)
      this.#onNews(news)
      return paceMs(response)
    } catch {
      if (this.#stopped) return 0
      this.#failures += 1
      this.#onConnection(false)
      const { first, max } = FAILED_LOOK_MS
      return between({ min: first, max: Math.min(max, first * 2 ** this.#failures) })
    }
  }
}

function paceMs(response) {
  const seconds = Number(response.headers.get('retry-after'))
  if (!(seconds > 0)) return LOOK_MS.default
  return Math.min(LOOK_MS.max, Math.max(LOOK_MS.min, seconds * 1_000))
}

/** At random, so that a thousand pages whose server went away do not come back in the same moment. */
function between({ min, max }) {
  return min + Math.random() * (max - min)
}
