import { accessSync, constants } from 'node:fs'
import { delimiter, join } from 'node:path'
import { after } from 'node:test'
import { type Browser, chromium } from 'playwright-core'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome', 'google-chrome-stable']
const LAUNCH_TIMEOUT_MS = 60_000

let launched: Promise<Browser> | undefined

/** The browser of this test file: started by the first who asks, closed after the last test. */
export function browser(): Promise<Browser> {
  launched ??= launch()
  return launched
}

after(async () => {
  // One that could not be started has failed its tests already.
  const open = await launched?.catch(() => undefined)
  await open?.close()
})

function launch(): Promise<Browser> {
  return chromium.launch({
    executablePath: findChromium(),
    timeout: LAUNCH_TIMEOUT_MS,
    // Chromium refuses to run as root inside its own sandbox; small containers have a small /dev/shm.
    args: ['--disable-dev-shm-usage', ...(process.getuid?.() === 0 ? ['--no-sandbox'] : [])],
  })
}

function findChromium(): string {
  const { CHROMIUM_PATH, PATH = '' } = process.env
  if (CHROMIUM_PATH) return CHROMIUM_PATH
  const places = PATH.split(delimiter).flatMap(folder => NAMES.map(name => join(folder, name)))
  const found = places.find(isExecutable)
  if (found !== undefined) return found
  throw new Error(
    'no Chromium was found: install it (Debian: apt-get install chromium), or give its path in CHROMIUM_PATH',
  )
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK)
    return true
  } catch {
    return false
  }
}
