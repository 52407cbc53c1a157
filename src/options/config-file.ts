import { readFileSync } from 'node:fs'

/**
 * Reads a file of `NAME=value` lines. `#` starts a comment at a line's start or after white space; single quotes
 * keep everything as it is; double quotes know \n, \" and \\; `export ` in front is allowed.
 *
 * @param faults gets a sentence for each line that is not understood; it names the line, never what stands there
 */
export function readConfigFile(path: string, faults: string[]): Map<string, string> {
  let content: string
  try {
    content = readFileSync(path, 'utf8')
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    faults.push(`the config file ${path} must be readable, got ${code}`)
    return new Map()
  }
  return parseConfigFile(content, path, faults)
}

export function parseConfigFile(
  content: string,
  path: string,
  faults: string[],
): Map<string, string> {
  const values = new Map<string, string>()
  for (const [index, raw] of content
    .replace(/^\uFEFF/, '')
    .split(/\r?\n/)
    .entries()) {
    const line = raw.trim()
    if (line === '' || line.startsWith('#')) continue
    const where = `line ${index + 1} of ${path}`
    const parts = /^(?:export\s+)?([A-Za-z_]\w*)\s*=\s*(.*)$/.exec(line)
    const name = parts?.[1]
    const value = unquote(parts?.[2] ?? '')
    if (name === undefined) faults.push(`${where} must be NAME=value or a # comment`)
    else if (value === null) faults.push(`${where}: the quotes of ${name} must be closed`)
    else if (values.has(name)) faults.push(`${where}: ${name} must be given once only`)
    else values.set(name, value)
  }
  return values
}

function unquote(given: string): string | null {
  const quote = given[0]
  if (quote === "'") return /^'([^']*)'\s*(?:#.*)?$/.exec(given)?.[1] ?? null
  if (quote !== '"') return given.replace(/(^|\s+)#.*$/, '').trimEnd()
  const inner = /^"((?:[^"\\]|\\.)*)"\s*(?:#.*)?$/.exec(given)?.[1]
  return inner?.replace(/\\(.)/g, (_, escaped) => (escaped === 'n' ? '\n' : escaped)) ?? null
}
