import { readFileSync } from 'node:fs'
import { topicFault } from '../outbox/topic-name.ts'

/** A value, or what the text should have been: the end of a sentence that starts with "X must be". */
export type Parsed<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly mustBe: string }

export type Parse<T> = (text: string) => Parsed<T>

function good<T>(value: T): Parsed<T> {
  return { ok: true, value }
}

function bad(mustBe: string): { ok: false; mustBe: string } {
  return { ok: false, mustBe }
}

export function text(): Parse<string> {
  return given => good(given)
}

export function integer(min: number, max: number): Parse<number> {
  return given => {
    const value = /^\d{1,15}$/.test(given) ? Number(given) : Number.NaN
    return value >= min && value <= max
      ? good(value)
      : bad(`an integer from ${min} to ${max}, without a unit`)
  }
}

export function flag(): Parse<boolean> {
  return given => {
    const lower = given.toLowerCase()
    return lower === 'true' || lower === 'false' ? good(lower === 'true') : bad('true or false')
  }
}

export function choice<const T extends string>(allowed: readonly T[]): Parse<T> {
  return given => {
    const found = allowed.find(one => one === given.toLowerCase())
    return found === undefined ? bad(`one of ${allowed.join(', ')}`) : good(found)
  }
}

const UNIT_MS = { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const

/** `0`, or a whole number with s, m, h or d. */
export function duration(maxMs: number): Parse<number> {
  return given => {
    const parts = /^(\d{1,9})([smhd])$/.exec(given)
    const valueMs = given === '0' ? 0 : Number(parts?.[1]) * UNIT_MS[parts?.[2] as 's']
    return valueMs <= maxMs
      ? good(valueMs)
      : bad(`0 or a whole number with a unit, such as 30m, 24h or 7d, up to ${maxMs / UNIT_MS.d}d`)
  }
}

export function topicName(): Parse<string> {
  return given => {
    const fault = topicFault(given)
    return fault === null ? good(given) : bad(`a topic's name; this one ${fault}`)
  }
}

/** A comma list of topics, or `*` for all of them. */
export function topicList(): Parse<readonly string[]> {
  return given => {
    const list = given.split(',').map(one => one.trim())
    const fault = list.map(one => (one === '*' ? null : topicFault(one))).find(one => one !== null)
    return fault === undefined ? good(list) : bad(`a comma list of topics, or *; one ${fault}`)
  }
}

/** A comma list of `host:port`. */
export function brokers(): Parse<readonly string[]> {
  return given => {
    const list = given.split(',').map(one => one.trim())
    return list.every(one => hostAndPort(one, 1) !== null)
      ? good(list)
      : bad('a comma list of host:port, without a scheme or credentials')
  }
}

/** What the parser takes, or `off` for null. */
export function orOff<T>(parse: Parse<T>): Parse<T | null> {
  return given => {
    if (given.toLowerCase() === 'off') return good(null)
    const parsed = parse(given)
    return parsed.ok ? parsed : bad(`${parsed.mustBe}, or off`)
  }
}

/** A comma list of secrets, each of so many characters at least. */
export function secretList(charsMin: number, most = 10): Parse<readonly string[]> {
  return given => {
    const list = given.split(',').map(one => one.trim())
    const fits = list.length <= most && list.every(one => one.length >= charsMin)
    const each = `at least ${charsMin} characters`
    if (fits) return good(list)
    return bad(most === 1 ? `${each}, without a comma` : `${each}, or a comma list of such`)
  }
}

/** `host:port`, or `off` for null. Port 0: any free one. */
export function httpAddress(): Parse<{ host: string; port: number; exact: boolean } | null> {
  return given => {
    if (given.toLowerCase() === 'off') return good(null)
    const address = hostAndPort(given, 0)
    return address === null ? bad('host:port or off') : good({ ...address, exact: true })
  }
}

function hostAndPort(given: string, portMin: number): { host: string; port: number } | null {
  const parts = /^(?:\[([\da-fA-F:.]+)\]|([\w.-]+)):(\d{1,5})$/.exec(given)
  const host = parts?.[1] ?? parts?.[2]
  const port = Number(parts?.[3])
  return host !== undefined && port >= portMin && port <= 65_535 ? { host, port } : null
}

/** The PEM text in the file that is named. */
export function pemFile(): Parse<string> {
  return given => {
    try {
      const pem = readFileSync(given, 'utf8')
      return pem.includes('-----BEGIN ') ? good(pem) : bad('a file with PEM text')
    } catch (error) {
      return bad(`a readable file with PEM text (${(error as NodeJS.ErrnoException).code})`)
    }
  }
}

/**
 * A URL that postgres.js will accept, several hosts included. It is judged here, because the error that `URL`
 * throws carries the whole text, password included.
 */
export function postgresUrl(): Parse<string> {
  const mustBe =
    'a URL such as postgres://user:password@host:5432/database, with special characters percent-encoded'
  return given => {
    try {
      const authority = given.slice(given.indexOf('://') + 3).split(/[?/]/)[0] ?? ''
      const hosts = decodeURIComponent(authority.slice(authority.indexOf('@') + 1))
      const url = new URL(given.replace(hosts, hosts.split(',')[0] ?? ''))
      decodeURIComponent(url.username + url.password)
      const postgres = url.protocol === 'postgres:' || url.protocol === 'postgresql:'
      // An unencoded slash in the password turns the rest of it into the database's name.
      return postgres && !url.pathname.includes('@') ? good(given) : bad(mustBe)
    } catch {
      return bad(mustBe)
    }
  }
}
