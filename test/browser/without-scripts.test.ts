import assert from 'node:assert/strict'
import { test } from 'node:test'
import { button, joinByPage, leaveByPage, openVisitor, untilHeading, untilText } from './visitor.ts'
import { openShop, openSite } from './waiting-site.ts'

const PLAIN = { javaScriptEnabled: false }

test('without scripts the page reloads itself from the place in line to the way on', async t => {
  const site = await openSite(t)
  const shop = await openShop(t, 'concert')
  await site.desk.setRoom('concert', { capacity: 1, targetUrl: shop.url })
  const ann = await site.desk.join({ eventId: 'concert', userId: 'ann' })
  const ben = await site.desk.join({ eventId: 'concert', userId: 'ben' })
  await site.turn('concert')
  const { page } = await openVisitor(t, PLAIN)
  await joinByPage(page, site.url, 'concert')
  await site.turn('concert')
  await untilText(page.locator('[data-place]'), '2')
  await site.desk.leave(ann.sessionId)
  await untilText(page.locator('[data-place]'), '1')
  await site.desk.leave(ben.sessionId)
  await untilHeading(page, 'It is your turn')
  assert.match(await page.locator('[data-until]').innerText(), /^for about \d+ minutes$/)

  const [before] =
    await site.sql`select lease_until from admission.sessions where status = 'ACTIVE'`
  await button(page, 'I am still here').click()
  await page.waitForURL(/\/sessions\/[^/]+$/)
  await untilHeading(page, 'It is your turn')
  const [after] = await site.sql`select lease_until from admission.sessions where status = 'ACTIVE'`
  assert.ok(after!.lease_until > before!.lease_until, 'the lease was not extended')

  await page.getByRole('link', { name: /^Continue/ }).click()
  await untilHeading(page, 'Welcome')
  assert.equal(shop.visits[0]?.admitted, true)
  await page.goBack()
  await leaveByPage(page)
  await untilHeading(page, 'You left the line')
  await button(page, 'Join again').click()
  await untilHeading(page, 'You are in line')
})

test('while the database is away the page says so, and comes back by itself', async t => {
  const site = await openSite(t)
  await site.desk.setRoom('concert', { capacity: 1 })
  const { page } = await openVisitor(t, PLAIN)
  site.cutDatabase()
  const answer = await page.goto(`${site.url}/waiting-room/concert`)
  assert.equal(answer?.status(), 503)
  assert.ok(Number(answer?.headers()['retry-after']) >= 5)
  await untilHeading(page, 'One moment, please')
  site.healDatabase()
  await untilHeading(page, 'Join the line')
})
