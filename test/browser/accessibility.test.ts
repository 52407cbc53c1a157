import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import type { Page } from 'playwright-core'
import { button, joinByPage, openVisitor, untilHeading, untilText } from './visitor.ts'
import { openSite, type WaitingSite } from './waiting-site.ts'

const AUDIT = readFileSync(new URL('./audit.js', import.meta.url), 'utf8')
/** Long, and without a place to break it. */
const EVENT = `concert-${'0123456789'.repeat(9)}`

async function audit(page: Page, what: string): Promise<void> {
  assert.deepEqual(await page.evaluate(AUDIT), [], what)
}

/** Every page that there is, one after the other. */
async function auditJourney(site: WaitingSite, page: Page, eventId: string): Promise<void> {
  await site.desk.setRoom(eventId, { capacity: 0, targetUrl: 'https://shop.example/checkout' })
  await page.goto(`${site.url}/waiting-room/nowhere`)
  await audit(page, 'unknown room')
  await page.goto(`${site.url}/waiting-room/${eventId}`)
  await audit(page, 'room')
  await joinByPage(page, site.url, eventId)
  await site.turn(eventId)
  await untilText(page.locator('[data-place]'), '1')
  await page.locator('summary:visible').click()
  await audit(page, 'waiting')
  await site.desk.setRoom(eventId, { capacity: 1 })
  await untilHeading(page, 'It is your turn')
  await audit(page, 'active')
  await page.locator('summary:visible').click()
  await button(page, 'Give up my place').click()
  await untilHeading(page, 'You left the line')
  await audit(page, 'left')
  await site.desk.pauseRoom(eventId, true)
  await page.goto(`${site.url}/waiting-room/${eventId}?`)
  await untilHeading(page, 'The room is paused')
  await audit(page, 'paused')
}

test('all pages can be read and used on a narrow screen, by day and by night', async t => {
  const site = await openSite(t)
  for (const colorScheme of ['light', 'dark'] as const) {
    const viewport = { width: 320, height: 640 }
    const { page } = await openVisitor(t, { colorScheme, viewport })
    await auditJourney(site, page, `${EVENT}-${colorScheme}`)
  }
})

test('the keyboard alone is enough to join and to leave, and shows where it is', async t => {
  const site = await openSite(t)
  await site.desk.setRoom('concert', { capacity: 1 })
  const { page } = await openVisitor(t)
  await page.goto(`${site.url}/waiting-room/concert`)
  await page.keyboard.press('Tab')
  assert.equal(await page.locator(':focus-visible').innerText(), 'Join the line')
  const outline = 'getComputedStyle(document.activeElement).outline'
  assert.match(String(await page.evaluate(outline)), /solid 3px/)
  await page.keyboard.press('Enter')
  await untilHeading(page, 'You are in line')
  await page.keyboard.press('Tab')
  assert.equal(await page.locator(':focus-visible').innerText(), 'Leave the line')
  await page.keyboard.press('Enter')
  await page.keyboard.press('Tab')
  await page.keyboard.press('Enter')
  await untilHeading(page, 'You left the line')
})
