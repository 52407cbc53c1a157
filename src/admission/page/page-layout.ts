import { type Html, html } from './html.ts'

export interface PageLayout {
  readonly title: string
  /** What the page is about, above the heading; null: nothing that is known. */
  readonly eventId: string | null
  readonly assetsVersion: string
  /** After how long the page reloads itself; null: it does not. */
  readonly refreshSeconds: number | null
  /** Whether the page's script has work in it. */
  readonly live: boolean
  readonly main: Html
}

/** The whole document around a page's main part. */
export function layOut(page: PageLayout): Html {
  const assets = `/waiting-room/assets/${page.assetsVersion}`
  return html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta name="robots" content="noindex">
<title>${page.title}</title>
<link rel="icon" href="${assets}/icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="${assets}/page.css">
${page.live ? html`<script type="module" src="${assets}/page.js"></script>` : null}
${page.refreshSeconds === null ? null : refreshTag(page.refreshSeconds, page.live)}
</head>
<body>
<header class="top">
<p class="brand"><span class="brand-mark" aria-hidden="true"></span>Waiting room</p>
</header>
<main>
${page.eventId === null ? null : html`<p class="room">${page.eventId}</p>`}
${page.main}
</main>
<footer class="foot">
<p>Places are given in the order of joining.</p>
</footer>
</body>
</html>
`
}

/** A page whose script keeps it up to date reloads itself only where scripts do not run. */
function refreshTag(seconds: number, live: boolean): Html {
  const tag = html`<meta http-equiv="refresh" content="${seconds}">`
  return live ? html`<noscript>${tag}</noscript>` : tag
}
