import type { Sql } from './database.ts'

type Parse = (text: string) => unknown
type Serialize = (value: unknown) => unknown

/** What postgres.js 3.4.9 keeps of types, as far as arrays are concerned. */
interface TypeTables {
  readonly parsers: Record<number, Parse>
  readonly serializers: Record<number, Serialize>
  readonly shared: { readonly typeArrayMap: Record<number, number> }
}

interface ArrayType {
  readonly element: number
  readonly array: number
  readonly delimiter: string
}

/**
 * Teaches the client which types are arrays, those of the user's own too, so that arrays are read and written as
 * such. Its option `fetch_types` does the same, but nobody catches the error of a connection that breaks meanwhile,
 * and that ends the process.
 */
export async function learnArrayTypes(sql: Sql): Promise<void> {
  const types = await sql.unsafe<ArrayType[]>(`
    select a.typelem::int8::float8 as element, a.oid::int8::float8 as array, e.typdelim as delimiter
    from pg_catalog.pg_type a join pg_catalog.pg_type e on e.oid = a.typelem
    where a.typcategory = 'A' and e.typarray = a.oid`)
  const tables = sql.options as unknown as TypeTables
  for (const { element, array, delimiter } of types) {
    tables.shared.typeArrayMap[element] = array
    const parse = tables.parsers[element] ?? (text => text)
    tables.parsers[array] = text => parseArray(text, parse, delimiter)
    const serialize = (value: unknown) => (tables.serializers[element] ?? String)(value)
    tables.serializers[array] = value => arrayLiteral(value, serialize, delimiter)
  }
}

/** What is no array is passed on: a text may be an array's literal already. */
function arrayLiteral(value: unknown, serialize: Serialize, delimiter: string): unknown {
  if (!Array.isArray(value)) return value
  const items = value.map(item => {
    if (item === null) return 'NULL'
    if (item === undefined) throw new TypeError('undefined is no element of an array: use null')
    if (Array.isArray(item)) return arrayLiteral(item, serialize, delimiter)
    const plain = (item as { type?: unknown }).type
      ? (item as { value?: unknown }).value
      : (item as unknown)
    return `"${String(serialize(plain)).replaceAll(/["\\]/g, '\\$&')}"`
  })
  return `{${items.join(delimiter)}}`
}

/** Reads PostgreSQL's text form, such as `{1,NULL,"a \" b",{…}}` or `[0:1]={1,2}`. */
function parseArray(text: string, parse: Parse, delimiter: string): unknown[] {
  let at = text.indexOf('{')
  return read()

  function read(): unknown[] {
    const items: unknown[] = []
    at++
    while (at < text.length && text[at] !== '}') {
      if (text[at] === delimiter) at++
      else if (text[at] === '{') items.push(read())
      else if (text[at] === '"') items.push(parse(quoted()))
      else items.push(plain())
    }
    at++
    return items
  }

  function quoted(): string {
    let item = ''
    for (at++; at < text.length && text[at] !== '"'; at++) {
      if (text[at] === '\\') at++
      item += text[at]
    }
    at++
    return item
  }

  function plain(): unknown {
    const start = at
    while (at < text.length && text[at] !== delimiter && text[at] !== '}') at++
    const item = text.slice(start, at)
    return item === 'NULL' ? null : parse(item)
  }
}
