import { type Html, html } from './html.ts'
import { layOut } from './page-layout.ts'

export interface Notice {
  readonly status: number
  readonly heading: string
  readonly text: string
  /** After how long the page loads its address again, never as a form; null: it does not. */
  readonly retrySeconds: number | null
}

/** A page that says why there is no other. */
export function noticePage({ heading, text, retrySeconds }: Notice, assetsVersion: string): Html {
  return layOut({
    title: heading,
    eventId: null,
    assetsVersion,
    refreshSeconds: retrySeconds,
    live: false,
    main: html`<h1>${heading}</h1>
<p class="lead">${text}</p>
${retrySeconds === null ? null : reloading}`,
  })
}

const reloading = html`<p class="state state-paused"><span class="dot" aria-hidden="true"></span>This page reloads by itself</p>`
