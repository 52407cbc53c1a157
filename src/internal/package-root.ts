import { existsSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

/**
 * The folder of this package's package.json, as an absolute path.
 *
 * Searched upwards, because this file lies one level deeper once it is compiled (`dist/src/internal`).
 */
export function packageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url))
  while (!existsSync(join(folder, 'package.json'))) {
    const parent = dirname(folder)
    if (parent === folder) throw new Error('package.json is missing above the sources of Sluice')
    folder = parent
  }
  return folder
}
