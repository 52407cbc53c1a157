const PARAMETER = 'admission'

/** The name of the host that admitted visitors go on to, for the eye; null: there is none to go to. */
export function targetHost(targetUrl: string | null): string | null {
  return parse(targetUrl)?.host ?? null
}

/**
 * The address with the token as its parameter `admission`, beside whatever parameters it has; one of that name is
 * replaced. Null: not an address of http or https.
 */
export function withAdmission(targetUrl: string | null, token: string): string | null {
  const url = parse(targetUrl)
  if (url === null) return null
  // Deleting writes the whole query anew, which a target that compares texts might not know again.
  if (url.searchParams.has(PARAMETER)) url.searchParams.delete(PARAMETER)
  const query = url.search === '' ? '?' : `${url.search}&`
  url.search = `${query}${PARAMETER}=${encodeURIComponent(token)}`
  return url.href
}

/** Other schemes would run scripts or open programs. */
function parse(targetUrl: string | null): URL | null {
  if (targetUrl === null || !URL.canParse(targetUrl)) return null
  const url = new URL(targetUrl)
  return url.protocol === 'https:' || url.protocol === 'http:' ? url : null
}
