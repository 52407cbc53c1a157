import type { Option } from './option.ts'
import { optionTable } from './table.ts'

const rows: readonly Option[] = Object.values(optionTable)

/** The options for `--help`. */
export function printHelp(): string {
  const lines = rows.flatMap(option => [
    `  ${namesOf(option).join(', ')}`,
    ...wrap(`${option.doc} ${factsOf(option)}`, 90).map(line => `      ${line}`),
  ])
  return [
    'Options come from the environment, and from the file of --config or SLUICE_CONFIG:',
    ...lines,
  ].join('\n')
}

/** The text of `config/sluice.example.env`. */
export function printExample(): string {
  const lines = [
    '# Every option of `sluice run` and `sluice admission` with its default. Copy this file, take the # away from what you change, and',
    '# name the copy with --config or SLUICE_CONFIG. The environment wins over the file.',
  ]
  let section = ''
  for (const option of rows) {
    if (option.section !== section) {
      section = option.section
      lines.push('', `# --- ${section}`)
    }
    const text = `${option.doc} ${factsOf(option)}`
    lines.push('', ...wrap(text, 106).map(line => `# ${line}`))
    lines.push(`#${option.names[0]}=${option.fallbackNote ? '' : (option.fallback ?? '')}`)
  }
  return `${lines.join('\n')}\n`
}

/** The README's table. */
export function printMarkdown(): string {
  const lines = rows.map(option => {
    const names = namesOf(option).map(name => `\`${name}\``)
    const range = rangeOf(option) ?? ''
    return `| ${names.join(', ')} | ${defaultOf(option) ?? ''} | ${range} | ${option.doc} |`
  })
  return ['| name | default | range | meaning |', '|---|---|---|---|', ...lines, ''].join('\n')
}

function namesOf({ names, secret }: Option): readonly string[] {
  return secret ? [...names, `${names[0]}_FILE`] : names
}

function defaultOf({ fallback, fallbackNote }: Option): string | null {
  return fallbackNote ?? fallback
}

function rangeOf({ min, max }: Option): string | null {
  return min === undefined || max === undefined ? null : `${min}–${max}`
}

/** `[default 10, 1–1000, also as SLUICE_X_FILE]` */
function factsOf(option: Option): string {
  const standard = defaultOf(option)
  const others = namesOf(option).slice(1)
  const facts = [
    standard === null ? null : `default ${standard}`,
    rangeOf(option),
    others.length === 0 ? null : `also ${others.join(', ')}`,
  ].filter(fact => fact !== null)
  return facts.length === 0 ? '' : `[${facts.join('; ')}]`
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = []
  let line = ''
  for (const word of text.split(' ').filter(Boolean)) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line)
      line = word
    } else {
      line = line === '' ? word : `${line} ${word}`
    }
  }
  return line === '' ? lines : [...lines, line]
}
