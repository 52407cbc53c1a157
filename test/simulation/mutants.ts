import { spawnSync } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs } from 'node:util'
import { MUTANTS, type Mutant } from './mutant-list.ts'

// node --import tsx test/simulation/mutants.ts [--seeds 2000] [--from N] [part of a name…]
// Breaks a copy of the sources in one place after the other; the simulation must find each. Exit code 1 if it does not.

interface Finding {
  readonly seeds: number
  readonly seed?: number
  readonly violation?: string
}

const ROOT = fileURLToPath(new URL('../../', import.meta.url))
const COPIED = ['src', 'test/simulation', 'package.json', 'tsconfig.json']
const VIOLATION_LENGTH_MAX = 90

const { values, positionals } = parseArgs({
  options: {
    seeds: { type: 'string', default: '2000' },
    from: { type: 'string', default: '1' },
  },
  allowPositionals: true,
})

process.exitCode = run()

function run(): number {
  const wanted = MUTANTS.filter(
    ({ name }) => positionals.length === 0 || positionals.some(part => name.includes(part)),
  )
  let survivors = 0
  for (const mutant of wanted) {
    const finding = tryMutant(mutant)
    const found = finding.violation !== undefined
    if (!found) survivors++
    const how = found
      ? `seed ${String(finding.seed).padStart(5)}  ${finding.violation!.slice(0, VIOLATION_LENGTH_MAX)}`
      : `SURVIVED ${finding.seeds} seeds`
    process.stdout.write(`${mutant.name.padEnd(52)} ${how}\n`)
  }
  process.stdout.write(`${wanted.length - survivors} of ${wanted.length} mutants found\n`)
  return survivors === 0 ? 0 : 1
}

function tryMutant({ name, file, find, replace }: Mutant): Finding {
  const folder = mkdtempSync(join(tmpdir(), 'mutant-'))
  try {
    for (const path of COPIED) cpSync(join(ROOT, path), join(folder, path), { recursive: true })
    symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'))
    const path = join(folder, file)
    const source = readFileSync(path, 'utf8')
    if (source.split(find).length !== 2) {
      throw new Error(
        `"${name}": its text occurs ${source.split(find).length - 1} times in ${file}`,
      )
    }
    writeFileSync(
      path,
      source.replace(find, () => replace),
    )
    const args = ['--import', 'tsx', 'test/simulation/main.ts', '--json', '--seeds', values.seeds]
    const { stdout, stderr } = spawnSync(process.execPath, [...args, '--from', values.from], {
      cwd: folder,
      encoding: 'utf8',
    })
    const line = stdout.trim().split('\n').at(-1) ?? ''
    if (!line.startsWith('{')) throw new Error(`"${name}": no verdict: ${stdout}${stderr}`)
    return JSON.parse(line) as Finding
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}
