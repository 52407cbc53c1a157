import { readFileSync } from 'node:fs'
import { readConfigFile } from './config-file.ts'
import { nearestName } from './nearest-name.ts'
import type { Option } from './option.ts'
import { type OptionKey, optionTable, otherNames, type Settings } from './table.ts'

type Source = ReadonlyMap<string, string>

interface Given {
  readonly name: string
  readonly text: string
}

const entries = Object.entries(optionTable) as [OptionKey, Option][]

/** Every name an option can be given by. */
const knownNames: ReadonlySet<string> = new Set(
  entries.flatMap(([, { names, secret }]) =>
    secret ? names.flatMap(name => [name, `${name}_FILE`]) : names,
  ),
)

/**
 * Finds and parses what is given, the environment before the config file before defaults.
 * @param faults gets a sentence for each fault
 */
export function readSettings(
  env: Readonly<Record<string, string | undefined>>,
  faults: string[],
): Settings {
  // An empty variable counts as absent: that is how compose files and charts leave one out.
  const environment: Source = new Map(
    Object.entries(env).filter((entry): entry is [string, string] => Boolean(entry[1]?.trim())),
  )
  const path = environment.get('SLUICE_CONFIG')
  const file: Source = path === undefined ? new Map() : readConfigFile(path, faults)
  refuseUnknown(environment, file, faults)

  const settings: Record<string, unknown> = {}
  for (const [key, option] of entries) {
    const given = find(option, environment, faults) ?? find(option, file, faults)
    const text = given?.text ?? option.fallback
    if (text === null) continue
    const parsed = option.parse(text)
    if (parsed.ok) settings[key] = parsed.value
    else {
      const name = given?.name ?? option.names[0]
      faults.push(`${name} must be ${parsed.mustBe}, got ${shapeOf(option, text)}`)
    }
  }
  return settings as Settings
}

function find(option: Option, source: Source, faults: string[]): Given | null {
  const names = option.names.filter(name => source.get(name))
  const fileNames = option.secret
    ? option.names.map(name => `${name}_FILE`).filter(name => source.get(name))
    : []
  const all = [...names, ...fileNames]
  if (all.length > 1) {
    const same = fileNames.length === 0 && new Set(all.map(name => source.get(name))).size === 1
    if (!same) faults.push(`only one of ${all.join(' and ')} must be given, got ${all.length}`)
  }
  if (names[0] !== undefined) return { name: names[0], text: source.get(names[0]) ?? '' }
  return fileNames[0] === undefined
    ? null
    : readSecretFile(fileNames[0], source.get(fileNames[0]) ?? '', faults)
}

function readSecretFile(name: string, path: string, faults: string[]): Given | null {
  try {
    const text = readFileSync(path, 'utf8').trim()
    if (text !== '') return { name, text }
    faults.push(`${name} must name a file with the secret in it, got an empty one`)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    faults.push(`${name} must name a readable file, got ${code}`)
  }
  return null
}

function refuseUnknown(environment: Source, file: Source, faults: string[]): void {
  for (const [name, text] of environment) {
    if (!name.startsWith('SLUICE_') || knownNames.has(name) || otherNames.includes(name)) continue
    if (!isServiceLink(name, text)) faults.push(unknown(name, 'in the environment'))
  }
  for (const name of file.keys()) {
    if (!knownNames.has(name)) faults.push(unknown(name, 'in the config file'))
  }
}

function unknown(name: string, where: string): string {
  const nearest = nearestName(name, knownNames)
  return `${name} ${where} is not an option${nearest === null ? '' : `; did you mean ${nearest}?`}`
}

/** Kubernetes puts the address of a service called `sluice…` into every pod of its namespace. */
function isServiceLink(name: string, text: string): boolean {
  return (
    /_SERVICE_(HOST|PORT)(_\w+)?$/.test(name) ||
    /_PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$/.test(name) ||
    (name.endsWith('_PORT') && /^(tcp|udp|sctp):\/\//.test(text))
  )
}

/** A value that is not secret, if it is short and holds nothing like credentials; otherwise its length. */
function shapeOf(option: Option, text: string): string {
  const showable = !option.secret && text.length <= 40 && !text.includes('@')
  return showable ? JSON.stringify(text) : `a text of ${text.length} characters`
}
