import { cp, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** One deliberate breakage. The text must stand exactly once in the file. */
export interface Mutant {
  /** A sentence on what the broken relay does. */
  readonly name: string
  readonly file: string
  readonly find: string
  readonly replace: string
}

/** What a relay needs to run from. */
const COPIED = ['bin', 'src', 'workers', 'migrations', 'package.json', 'tsconfig.json']

/** A copy of the sources in which one breakage at a time is made. */
export class MutantTree {
  readonly folder: string

  private constructor(folder: string) {
    this.folder = folder
  }

  static async copyOf(root: string): Promise<MutantTree> {
    const folder = await mkdtemp(join(tmpdir(), 'sluice-mutant-'))
    await mkdir(folder, { recursive: true })
    for (const name of COPIED) await cp(join(root, name), join(folder, name), { recursive: true })
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'))
    return new MutantTree(folder)
  }

  /** Why the breakage cannot be made, or null. */
  async staleness({ file, find }: Mutant): Promise<string | null> {
    const text = await readFile(join(this.folder, file), 'utf8').catch(() => null)
    if (text === null) return `${file} does not exist`
    const times = text.split(find).length - 1
    return times === 1 ? null : `its text stands ${times} times in ${file}`
  }

  /** Changes the copy. @returns the file as it was @throws when the text does not stand there exactly once */
  async edit(mutant: Mutant): Promise<string> {
    const stale = await this.staleness(mutant)
    if (stale !== null) throw new Error(`stale mutant "${mutant.name}": ${stale}`)
    const path = join(this.folder, mutant.file)
    const before = await readFile(path, 'utf8')
    await writeFile(path, before.split(mutant.find).join(mutant.replace))
    return before
  }

  /** Breaks the copy, works, and mends it. @throws as `edit` */
  async with<T>(mutant: Mutant, work: () => Promise<T>): Promise<T> {
    const path = join(this.folder, mutant.file)
    const sound = await this.edit(mutant)
    try {
      return await work()
    } finally {
      await writeFile(path, sound)
    }
  }

  async remove(): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}
