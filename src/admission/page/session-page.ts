import type { Session, SessionStatus } from '../session.ts'
import { type Html, html } from './html.ts'
import type { PageAssets, Words } from './page-assets.ts'
import { layOut } from './page-layout.ts'
import { roomPath, sessionPath } from './page-paths.ts'
import { targetHost } from './target-link.ts'

/** What each status is called in the page's heading. */
const HEADINGS: Readonly<Record<SessionStatus, string>> = {
  WAITING: 'You are in line',
  ACTIVE: 'It is your turn',
  LEFT: 'You left the line',
  EXPIRED: 'Your time is over',
  ABANDONED: 'Your turn has passed',
}

const REFRESH_SECONDS = { min: 5, max: 30 } as const
/** How many places ahead make the page look a second less often. */
const PLACES_PER_SECOND = 20

/**
 * The page of a session. All statuses are in it and one of them is shown, so that the script has to choose and to fill
 * in, not to write markup.
 */
export function sessionPage(session: Session, assets: PageAssets, now: Date): Html {
  const { status, position } = session
  const heading = HEADINGS[status]
  const open = status === 'WAITING' || status === 'ACTIVE'
  return layOut({
    title: `${assets.words.titleInWords(status, position, heading)} · ${session.eventId}`,
    eventId: session.eventId,
    assetsVersion: assets.version,
    refreshSeconds: open ? refreshSeconds(session) : null,
    live: true,
    main: html`<div data-session="${session.sessionId}" data-event="${session.eventId}" data-status="${status}" data-position="${position}"
 data-renewable="${String(session.renewable)}" data-lease-until="${session.leaseUntil?.toISOString() ?? ''}" data-now="${now.toISOString()}">
<h1 data-heading>${heading}</h1>
${waiting(session, assets.words)}
${active(session, assets.words, now)}
${ended(session, 'LEFT', 'Your place went to the next in line. If you join again, you start at its end.')}
${ended(session, 'EXPIRED', 'The time you were given has run out, and your place went to the next in line.')}
${ended(session, 'ABANDONED', 'When your turn came, this page had not been open for a while, so the next in line was let in.')}
<p class="connection" data-connection hidden>Connection lost. Your place is kept; this page tries again by itself.</p>
<p class="unseen" role="status" aria-live="polite" data-announce></p>
${open ? html`<p class="no-script"><a href="${sessionPath(session.sessionId)}">Refresh this page</a></p>` : null}
</div>`,
  })
}

/** How long a page without script waits until it reloads itself. */
export function refreshSeconds({ position }: Pick<Session, 'position'>): number {
  const { min, max } = REFRESH_SECONDS
  return Math.min(max, min + Math.floor((position ?? 0) / PLACES_PER_SECOND))
}

function waiting(session: Session, words: Words): Html {
  const { position, estimatedWaitMs } = session
  const ahead = position === null ? null : position - 1
  const waitSeconds = estimatedWaitMs === null ? null : Math.ceil(estimatedWaitMs / 1_000)
  return view(
    session,
    'WAITING',
    html`<div class="place">
<p class="place-label">Your place in line</p>
<p class="place-number" data-place>${words.placeInWords(position)}</p>
<p class="place-ahead" data-ahead>${words.aheadInWords(ahead)}</p>
<progress class="progress" data-progress max="1" value="0" aria-hidden="true"></progress>
</div>
<dl class="facts">
<div><dt>Estimated wait</dt><dd data-wait>${words.waitInWords(waitSeconds)}</dd></div>
</dl>
<p class="hint">You may reload or close this page: your place is kept. Be back when it is your turn, or it goes to the next in line.</p>
${leaveForm(session, 'Leave the line', 'Your place goes to the next in line. If you join again, you start at the end.')}`,
  )
}

function active(session: Session, words: Words, now: Date): Html {
  const { leaseUntil, targetUrl, renewable } = session
  const leftSeconds = leaseUntil ? Math.max(0, (leaseUntil.getTime() - now.getTime()) / 1_000) : 0
  const host = targetHost(targetUrl)
  return view(
    session,
    'ACTIVE',
    html`<p class="state state-open"><span class="dot" aria-hidden="true"></span>You are in</p>
<p class="lead">Your place is held <time data-until datetime="${leaseUntil?.toISOString() ?? ''}">for ${words.spanInWords(leftSeconds)}</time>.</p>
<p data-target${host === null ? html` hidden` : null}><a class="button" href="${sessionPath(session.sessionId)}/enter">Continue<span class="button-host">to <span data-host>${host}</span></span></a></p>
${renewable ? keepForm(session) : null}
${leaveForm(session, 'I am done', 'Your place goes to the next in line at once.')}`,
  )
}

function ended(session: Session, status: SessionStatus, text: string): Html {
  return view(
    session,
    status,
    html`<p class="lead">${text}</p>
<form method="post" action="${roomPath(session.eventId)}">
<button class="button" type="submit">Join again</button>
</form>`,
  )
}

function view(session: Session, status: SessionStatus, content: Html): Html {
  return html`<div class="view" data-view="${status}" data-title="${HEADINGS[status]}"${session.status === status ? null : html` hidden`}>
${content}
</div>`
}

/** The script does by itself what this button is for. */
function keepForm(session: Session): Html {
  return html`<form class="no-script" method="post" action="${sessionPath(session.sessionId)}/heartbeat">
<button class="button button-quiet" type="submit">I am still here</button>
</form>`
}

function leaveForm(session: Session, label: string, warning: string): Html {
  return html`<details class="leave">
<summary>${label}</summary>
<form method="post" action="${sessionPath(session.sessionId)}/leave">
<p>${warning}</p>
<button class="button button-quiet" type="submit">Give up my place</button>
</form>
</details>`
}
