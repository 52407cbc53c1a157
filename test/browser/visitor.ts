import assert from 'node:assert/strict'
import type { BrowserContext, BrowserContextOptions, Locator, Page } from 'playwright-core'
import { cleanup } from '../support/cleanup.ts'
import type { Scope } from '../support/parts.ts'
import { until } from '../support/until.ts'
import { browser } from './chromium.ts'

/** The longest that a page may take for what it does by itself. */
export const DEADLINE_MS = 30_000

export interface Visitor {
  readonly context: BrowserContext
  readonly page: Page
}

/**
 * A browser of its own, with its own cookies. After the test no script of it may have failed, nothing may have been
 * refused by the page's policy, and no dialog may have come up.
 */
export async function openVisitor(t: Scope, options: BrowserContextOptions = {}): Promise<Visitor> {
  const context = await (await browser()).newContext(options)
  context.setDefaultTimeout(DEADLINE_MS)
  const complaints: string[] = []
  context.on('weberror', error => complaints.push(error.error().message))
  context.on('console', message => {
    if (/security policy|trusted/i.test(message.text())) complaints.push(message.text())
  })
  context.on('dialog', dialog => {
    complaints.push(`dialog: ${dialog.message()}`)
    dialog.dismiss().catch(() => {})
  })
  cleanup(t, async () => {
    await context.close()
    assert.deepEqual(complaints, [], 'the browser complained')
  })
  return { context, page: await context.newPage() }
}

/** Opens a room's page and joins by its button. Returns the address of the session's page. */
export async function joinByPage(page: Page, site: string, eventId: string): Promise<string> {
  await page.goto(`${site}/waiting-room/${encodeURIComponent(eventId)}`)
  await button(page, /line/).click()
  await page.waitForURL(/\/sessions\//)
  return page.url()
}

export function sessionIdOf(pageUrl: string): string {
  return new URL(pageUrl).pathname.split('/')[3] ?? ''
}

/** Waits for the one heading to say this. */
export async function untilHeading(page: Page, text: string): Promise<void> {
  await untilText(page.locator('h1'), text)
}

export async function untilText(element: Locator, text: string): Promise<void> {
  let seen = ''
  await until(
    async () => {
      seen = await element.innerText()
      return seen === text
    },
    { deadlineMs: DEADLINE_MS, what: `the page says "${text}"` },
  ).catch(error => {
    throw new Error(`the page said "${seen}" instead of "${text}"`, { cause: error })
  })
}

export function button(page: Page, name: string | RegExp): Locator {
  return page.getByRole('button', { name })
}

/** Opens the question behind the link, and confirms it. */
export async function leaveByPage(page: Page): Promise<void> {
  await page.locator('summary:visible').click()
  await button(page, 'Give up my place').click()
}
