// Keeps the page of a session up to date: chooses what is shown and fills in texts, never markup.
import { SessionFeed } from './session-feed.js'
import { aheadInWords, placeInWords, spanInWords, titleInWords, waitInWords } from './words.js'

/** Readers of the screen hear of a new position so often at most. */
const ANNOUNCE_EVERY_MS = 20_000
const TICK_MS = 5_000
const HEARTBEAT_MS = { min: 5_000, max: 60_000 }
/** So many heartbeats fit into a lease. */
const HEARTBEATS_PER_LEASE = 3
const HEARTBEAT_TIMEOUT_MS = 10_000

const page = document.querySelector('[data-session]')
const { session: sessionId, event: eventId } = page.dataset
/** The server's clock decides of leases; this one may be wrong. */
const clockOffsetMs = Date.parse(page.dataset.now) - Date.now()
const clock = new Intl.DateTimeFormat(undefined, { hour: 'numeric', minute: '2-digit' })

const state = {
  status: page.dataset.status,
  position: page.dataset.position ? Number(page.dataset.position) : null,
  ahead: null,
  estimatedWaitSeconds: null,
  leaseUntil: page.dataset.leaseUntil || null,
  renewable: page.dataset.renewable === 'true',
}
let announcedAt = 0
let tickTimer
let heartbeatTimer
let connected = true

const feed = new SessionFeed(sessionId, { onNews: take, onConnection: showConnection })

for (const element of page.querySelectorAll('.no-script')) element.hidden = true
showProgress(state.position)
showLease()
if (isOpen()) begin()

function begin() {
  feed.start()
  tick()
  planHeartbeat(0)
}

function end() {
  feed.stop()
  clearTimeout(tickTimer)
  clearTimeout(heartbeatTimer)
}

addEventListener('offline', () => showConnection(false))
addEventListener('online', () => feed.refresh())
document.addEventListener('visibilitychange', () => {
  if (document.visibilityState !== 'visible' || !isOpen()) return
  feed.refresh()
  planHeartbeat(0)
})
// An open stream would keep the page out of the browser's cache of pages. The place is kept: leaving is a button.
addEventListener('pagehide', end)
addEventListener('pageshow', event => {
  if (event.persisted && isOpen()) {
    begin()
    feed.refresh()
  }
})

function isOpen() {
  return state.status === 'WAITING' || state.status === 'ACTIVE'
}

function take(news) {
  const before = state.status
  Object.assign(state, news)
  if (state.status !== before) showStatus()
  if (state.status === 'WAITING') showPlace()
  if (state.status === 'ACTIVE') showLease()
  if (!isOpen()) end()
}

function showStatus() {
  let heading = ''
  for (const view of page.querySelectorAll('[data-view]')) {
    view.hidden = view.dataset.view !== state.status
    if (!view.hidden) heading = view.dataset.title
  }
  page.dataset.status = state.status
  text('[data-heading]', heading)
  showTitle(heading)
  announce(heading)
  if (state.status === 'ACTIVE') {
    showTarget()
    planHeartbeat(0)
  }
}

function showTitle(heading) {
  document.title = `${titleInWords(state.status, state.position, heading)} · ${eventId}`
}

function showPlace() {
  const { position, ahead, estimatedWaitSeconds } = state
  text('[data-place]', placeInWords(position))
  text('[data-ahead]', aheadInWords(position === null ? null : (ahead ?? position - 1)))
  text('[data-wait]', waitInWords(estimatedWaitSeconds))
  showTitle(page.querySelector('[data-heading]').textContent)
  showProgress(position)
  if (position !== null && Date.now() - announcedAt > ANNOUNCE_EVERY_MS) {
    announce(`${aheadInWords(position - 1)}. Estimated wait: ${waitInWords(estimatedWaitSeconds)}.`)
  }
}

/** How far the line has moved since this tab first saw it. */
function showProgress(position) {
  if (position === null) return
  const bar = page.querySelector('[data-progress]')
  const first = Math.max(position, remembered(position))
  bar.max = first
  bar.value = first - position + 1
  bar.classList.add('known')
}

function remembered(position) {
  const name = `place ${sessionId}`
  try {
    const first = Number(sessionStorage.getItem(name))
    if (first > 0) return first
    sessionStorage.setItem(name, String(position))
  } catch {
    // Storage may be forbidden; the bar then starts where the page was opened.
  }
  return position
}

function showLease() {
  const until = page.querySelector('[data-until]')
  if (state.status !== 'ACTIVE' || !state.leaseUntil) return
  until.dateTime = state.leaseUntil
  const at = clock.format(Date.parse(state.leaseUntil) - clockOffsetMs)
  until.textContent = `until ${at} (${spanInWords(Math.max(0, leaseLeftMs() / 1_000))})`
}

function showTarget() {
  const target = page.querySelector('[data-target]')
  target.hidden = !state.targetUrl
  if (state.targetUrl) text('[data-host]', new URL(state.targetUrl).host)
}

function leaseLeftMs() {
  return Date.parse(state.leaseUntil) - (Date.now() + clockOffsetMs)
}

/** Time passes also while there are no news. */
function tick() {
  clearTimeout(tickTimer)
  if (state.status === 'ACTIVE' && state.leaseUntil) {
    showLease()
    if (leaseLeftMs() < 0) feed.refresh()
  }
  if (isOpen()) tickTimer = setTimeout(tick, TICK_MS)
}

function planHeartbeat(delayMs) {
  clearTimeout(heartbeatTimer)
  if (state.status !== 'ACTIVE' || !state.renewable) return
  heartbeatTimer = setTimeout(heartbeat, delayMs)
}

/** Says that somebody is here; a page that nobody looks at says nothing. */
async function heartbeat() {
  if (document.visibilityState !== 'visible') return
  try {
    const response = await fetch(
      `/api/waiting-room/sessions/${encodeURIComponent(sessionId)}/heartbeat`,
      { method: 'POST', signal: AbortSignal.timeout(HEARTBEAT_TIMEOUT_MS) },
    )
    if (response.ok) take(await response.json())
  } catch {
    // The feed tells of lost connections; the next heartbeat is due all the same.
  }
  const { min, max } = HEARTBEAT_MS
  const leftMs = state.leaseUntil ? leaseLeftMs() : 0
  planHeartbeat(Math.min(max, Math.max(min, leftMs / HEARTBEATS_PER_LEASE)))
}

function showConnection(isConnected) {
  if (isConnected === connected) return
  connected = isConnected
  const notice = page.querySelector('[data-connection]')
  notice.hidden = connected
  announce(connected ? 'Connected again.' : notice.textContent)
}

function announce(sentence) {
  announcedAt = Date.now()
  text('[data-announce]', sentence)
}

/** Writes only what differs: every change would be read out or redrawn. */
function text(selector, content) {
  const element = page.querySelector(selector)
  if (element.textContent !== content) element.textContent = content
}
