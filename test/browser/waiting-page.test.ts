import assert from 'node:assert/strict'
import { test } from 'node:test'
import { until } from '../support/until.ts'
import {
  button,
  DEADLINE_MS,
  joinByPage,
  leaveByPage,
  openVisitor,
  sessionIdOf,
  untilHeading,
  untilText,
} from './visitor.ts'
import { openShop, openSite } from './waiting-site.ts'

test('who joins sees the place come nearer without a reload, goes on in turn, and leaves', async t => {
  const site = await openSite(t)
  const shop = await openShop(t, 'concert')
  await site.desk.setRoom('concert', { capacity: 1, targetUrl: `${shop.url}/pay?lang=en` })
  const ann = await site.desk.join({ eventId: 'concert', userId: 'ann' })
  const ben = await site.desk.join({ eventId: 'concert', userId: 'ben' })
  await site.turn('concert')
  const { page } = await openVisitor(t)
  await joinByPage(page, site.url, 'concert')
  await page.evaluate('globalThis.sameDocument = true')
  const place = page.locator('[data-place]')
  assert.equal(await place.innerText(), '…')

  await site.turn('concert')
  await untilText(place, '2')
  await untilText(page.locator('[data-ahead]'), '1 person ahead')
  const before = await place.boundingBox()
  await site.desk.leave(ann.sessionId)
  await untilText(place, '1')
  assert.deepEqual(await place.boundingBox(), before, 'the number moved on the page')
  assert.equal(await page.title(), '1 in line · concert')

  await site.desk.leave(ben.sessionId)
  await untilHeading(page, 'It is your turn')
  assert.equal(await page.title(), 'It is your turn · concert')
  assert.equal(await page.locator('[data-announce]').innerText(), 'It is your turn')
  assert.match(
    await page.locator('[data-until]').innerText(),
    /^until .*\d.* \(about \d+ minutes\)$/,
  )
  assert.equal(await page.evaluate('globalThis.sameDocument'), true, 'the page was loaded anew')

  await page.getByRole('link', { name: /^Continue/ }).click()
  await untilHeading(page, 'Welcome')
  assert.equal(new URL(page.url()).searchParams.get('lang'), 'en')
  assert.equal(shop.visits[0]?.admitted, true)

  await page.goBack()
  await untilHeading(page, 'It is your turn')
  await leaveByPage(page)
  await untilHeading(page, 'You left the line')
  await button(page, 'Join again').click()
  await untilHeading(page, 'You are in line')
})

test('in a room for one, the second visitor goes in as the first one leaves', async t => {
  const site = await openSite(t)
  await site.desk.setRoom('concert', { capacity: 1 })
  const first = await openVisitor(t)
  const second = await openVisitor(t)
  await joinByPage(first.page, site.url, 'concert')
  await site.turn('concert')
  await joinByPage(second.page, site.url, 'concert')
  await site.turn('concert')
  await untilHeading(first.page, 'It is your turn')
  await untilText(second.page.locator('[data-place]'), '1')
  assert.equal(await second.page.locator('h1').innerText(), 'You are in line')

  await leaveByPage(first.page)
  await untilHeading(second.page, 'It is your turn')
  await untilHeading(first.page, 'You left the line')
})

test('where streams are cut off, the page asks instead', async t => {
  const site = await openSite(t)
  await site.desk.setRoom('concert', { capacity: 0 })
  const { page, context } = await openVisitor(t)
  let cuts = 0
  await context.route('**/events', route => {
    cuts += 1
    return route.abort()
  })
  await joinByPage(page, site.url, 'concert')
  await site.turn('concert')
  await untilText(page.locator('[data-place]'), '1')
  await site.desk.setRoom('concert', { capacity: 1 })
  await untilHeading(page, 'It is your turn')
  assert.ok(cuts > 0, 'no stream was asked for')
})

test('the stream alone brings the news, and hardly anything is asked beside it', async t => {
  const site = await openSite(t)
  await site.desk.setRoom('concert', { capacity: 0, renewable: false })
  const { page, context } = await openVisitor(t)
  let asked = 0
  await context.route('**/api/waiting-room/sessions/*', route => {
    asked += 1
    return route.abort()
  })
  await joinByPage(page, site.url, 'concert')
  await site.turn('concert')
  await untilText(page.locator('[data-place]'), '1')
  await site.desk.setRoom('concert', { capacity: 1 })
  await untilHeading(page, 'It is your turn')
  // One, if the stream took longer to open than a page waits for it.
  assert.ok(asked <= 1, `asked ${asked} times`)
})

test('without a connection the page says that the place is kept, and goes on with the next', async t => {
  const site = await openSite(t)
  await site.desk.setRoom('concert', { capacity: 0 })
  const { page, context } = await openVisitor(t)
  await joinByPage(page, site.url, 'concert')
  await site.turn('concert')
  await untilText(page.locator('[data-place]'), '1')
  const notice = page.getByText('Connection lost. Your place is kept').first()
  assert.equal(await notice.isVisible(), false)

  await context.setOffline(true)
  await notice.waitFor({ state: 'visible' })
  await site.desk.setRoom('concert', { capacity: 1 })
  await context.setOffline(false)
  await untilHeading(page, 'It is your turn')
  await notice.waitFor({ state: 'hidden' })
})

test('going back, or closing the page, and joining again finds the same place', async t => {
  const site = await openSite(t)
  await site.desk.setRoom('concert', { capacity: 0 })
  const { page, context } = await openVisitor(t)
  const address = await joinByPage(page, site.url, 'concert')
  await site.turn('concert')
  await page.goBack()
  await untilHeading(page, 'Join the line')
  await button(page, 'Join the line').click()
  await page.waitForURL(address)
  await page.close()

  const again = await context.newPage()
  assert.equal(await joinByPage(again, site.url, 'concert'), address)
  await untilText(again.locator('[data-place]'), '1')
  assert.equal((await site.desk.look(sessionIdOf(address)))?.status, 'WAITING')
})

test('a page that is looked at extends the lease, and tells when it has run out', async t => {
  const site = await openSite(t)
  await site.desk.setRoom('concert', { capacity: 1, leaseMs: 20_000 })
  const { page } = await openVisitor(t)
  const sessionId = sessionIdOf(await joinByPage(page, site.url, 'concert'))
  await site.turn('concert')
  await untilHeading(page, 'It is your turn')
  const lease = async () => {
    const [row] = await site.sql<{ lease_until: Date }[]>`
      select s.lease_until from admission.sessions s where s.id = ${sessionId}::uuid`
    return row!.lease_until.getTime()
  }
  const first = await lease()
  await until(async () => (await lease()) > first + 4_000, {
    deadlineMs: DEADLINE_MS,
    what: 'the lease was extended again and again',
  })
  await site.sql`
    update admission.sessions s set lease_until = clock_timestamp() where s.id = ${sessionId}::uuid`
  await untilHeading(page, 'Your time is over')
  assert.equal(await button(page, 'Join again').count(), 1)
})

test('the page of a session that was forgotten says so', async t => {
  const site = await openSite(t)
  await site.desk.setRoom('concert', { capacity: 0 })
  const { page } = await openVisitor(t)
  await joinByPage(page, site.url, 'concert')
  await site.sql`delete from admission.sessions`
  await untilHeading(page, 'This place is not known')
})

test('the name of an event stays a name, whatever is in it', async t => {
  const eventId = `<img src=x onerror=alert(1)>"'\`</title><script>alert(2)</script>/..%2e`
  const site = await openSite(t)
  await site.desk.setRoom(eventId, { capacity: 1 })
  const { page } = await openVisitor(t)
  await page.goto(`${site.url}/waiting-room/${encodeURIComponent(eventId)}`)
  assert.equal(await page.locator('.room').innerText(), eventId)
  await joinByPage(page, site.url, eventId)
  await site.turn(eventId)
  await untilHeading(page, 'It is your turn')
  assert.equal(await page.locator('.room').innerText(), eventId)
  assert.equal(await page.title(), `It is your turn · ${eventId}`)
  assert.equal(await page.locator('img').count(), 0)
  assert.equal(await page.locator('script').count(), 1)
})
