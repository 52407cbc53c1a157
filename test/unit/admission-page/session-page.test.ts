import assert from 'node:assert/strict'
import { test } from 'node:test'
import { loadPageAssets } from '../../../src/admission/page/page-assets.ts'
import { refreshSeconds, sessionPage } from '../../../src/admission/page/session-page.ts'
import type { Session, SessionStatus } from '../../../src/admission/session.ts'

const assets = await loadPageAssets()
const NOW = new Date('2026-05-01T12:00:00Z')
const waiting: Session = {
  sessionId: '0f8fad5b-d9cb-469f-a165-70867728950e',
  eventId: 'concert',
  userId: 'ada',
  status: 'WAITING',
  position: 42,
  estimatedWaitMs: 240_000,
  leaseUntil: null,
  renewable: true,
  targetUrl: null,
}

function page(changes: Partial<Session>): string {
  return sessionPage({ ...waiting, ...changes }, assets, NOW).text
}

/** The statuses whose view is not hidden. */
function shown(text: string): string[] {
  return [...text.matchAll(/data-view="(\w+)" data-title="[^"]*">/g)].map(found => found[1]!)
}

test('each status shows its own view alone', () => {
  const statuses: SessionStatus[] = ['WAITING', 'ACTIVE', 'LEFT', 'EXPIRED', 'ABANDONED']
  for (const status of statuses) {
    const leaseUntil = status === 'ACTIVE' ? new Date(NOW.getTime() + 60_000) : null
    assert.deepEqual(shown(page({ status, leaseUntil })), [status])
  }
})

test('without scripts a page reloads itself while its session is open, slower the farther behind', () => {
  assert.match(page({}), /<noscript><meta http-equiv="refresh" content="7"><\/noscript>/)
  assert.doesNotMatch(page({ status: 'LEFT' }), /http-equiv/)
  assert.equal(refreshSeconds({ position: null }), 5)
  assert.equal(refreshSeconds({ position: 1 }), 5)
  assert.equal(refreshSeconds({ position: 500 }), 30)
  assert.equal(refreshSeconds({ position: 100_000 }), 30)
})

test('neither the user nor the name of an event becomes markup', () => {
  const text = page({ eventId: `"><img src=x onerror=alert(1)>`, userId: 'user-to-hide' })
  assert.doesNotMatch(text, /<img/)
  assert.doesNotMatch(text, /user-to-hide/)
})

test('the way on is shown only where there is one', () => {
  const active = { status: 'ACTIVE', leaseUntil: new Date(NOW.getTime() + 540_000) } as const
  assert.match(page({ ...active, targetUrl: null }), /data-target hidden/)
  assert.match(page({ ...active, targetUrl: 'javascript:alert(1)' }), /data-target hidden/)
  const text = page({ ...active, targetUrl: 'https://shop.example/pay' })
  assert.match(text, /data-target><a [^>]*\/enter">/)
  assert.match(text, /<span data-host>shop\.example</)
  assert.match(text, />for about 9 minutes<\/time>/)
})

test('a lease that cannot be extended offers no button for it', () => {
  const active = { status: 'ACTIVE', leaseUntil: new Date(NOW.getTime() + 540_000) } as const
  assert.match(page(active), /\/heartbeat"/)
  assert.doesNotMatch(page({ ...active, renewable: false }), /\/heartbeat"/)
})
