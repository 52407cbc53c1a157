import type { Room } from '../room.ts'
import { type Html, html } from './html.ts'
import { layOut } from './page-layout.ts'
import { roomPath } from './page-paths.ts'

type ShownRoom = Pick<Room, 'eventId' | 'paused'>

/** A paused room's page looks again by itself. */
const PAUSED_REFRESH_SECONDS = 30

/** The page of a room, where one joins. */
export function roomPage(room: ShownRoom, assetsVersion: string): Html {
  return layOut({
    title: `Waiting room · ${room.eventId}`,
    eventId: room.eventId,
    assetsVersion,
    refreshSeconds: room.paused ? PAUSED_REFRESH_SECONDS : null,
    live: false,
    main: room.paused ? pausedRoom(room) : openRoom(room),
  })
}

function openRoom(room: ShownRoom): Html {
  return html`<h1>Join the line</h1>
<p class="state state-open"><span class="dot" aria-hidden="true"></span>The room is open</p>
<p class="lead">There is space for a limited number of people at once. Join, and you are let in as soon as it is your turn.</p>
${joinForm(room, 'Join the line')}
${pledges}`
}

function pausedRoom(room: ShownRoom): Html {
  return html`<h1>The room is paused</h1>
<p class="state state-paused"><span class="dot" aria-hidden="true"></span>Nobody is let in at the moment</p>
<p class="lead">You can take your place in line already: the order stays as it is, and goes on when the room is opened again.</p>
${joinForm(room, 'Take a place in line')}
${pledges}`
}

const pledges = html`<ul class="pledges">
<li>First come, first served. Joining twice does not help.</li>
<li>Reloading the page does not cost you your place.</li>
</ul>`

function joinForm(room: ShownRoom, label: string): Html {
  return html`<form method="post" action="${roomPath(room.eventId)}">
<button class="button" type="submit">${label}</button>
</form>`
}
