import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { packageRoot } from '../../internal/package-root.ts'

/** Exports of `assets/words.js`, whose comments tell what they say. */
export interface Words {
  placeInWords(position: number | null): string
  aheadInWords(ahead: number | null): string
  waitInWords(seconds: number | null): string
  spanInWords(seconds: number): string
  titleInWords(status: string, position: number | null, heading: string): string
}

export interface PageAsset {
  readonly type: string
  readonly body: Buffer
}

export interface PageAssets {
  /** First 16 hex digits of the SHA-256 of all files: a part of their address, so that they may be kept for ever. */
  readonly version: string
  readonly files: ReadonlyMap<string, PageAsset>
  readonly words: Words
}

const TYPES: Readonly<Record<string, string>> = {
  'page.css': 'text/css; charset=utf-8',
  'page.js': 'text/javascript; charset=utf-8',
  'session-feed.js': 'text/javascript; charset=utf-8',
  'words.js': 'text/javascript; charset=utf-8',
  'icon.svg': 'image/svg+xml',
}

/** Reads what browsers load. It lies with the sources, also in the installed package: the compiler copies no such files. */
export async function loadPageAssets(): Promise<PageAssets> {
  const folder = join(packageRoot(), 'src/admission/page/assets')
  const files = new Map<string, PageAsset>()
  const hash = createHash('sha256')
  for (const [name, type] of Object.entries(TYPES)) {
    const body = await readFile(join(folder, name))
    files.set(name, { type, body })
    hash.update(body)
  }
  const words = (await import(pathToFileURL(join(folder, 'words.js')).href)) as Words
  return { version: hash.digest('hex').slice(0, 16), files, words }
}
