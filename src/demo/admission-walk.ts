/** What to type to try waiting rooms by hand. @param address `host:port` of the API */
export function walkThrough(address: string, capacity: number | null): readonly string[] {
  const sessions = `http://${address}/api/waiting-room/sessions`
  const json = `-H 'content-type: application/json'`
  const join = (user: string) =>
    `curl -s -X POST ${sessions} ${json} -d '{"eventId":"concert","userId":"${user}"}'`
  return [
    `waiting room of a concert with ${capacity ?? 'no'} places: http://${address}/waiting-room/concert`,
    '',
    'by hand, with jq:',
    `  ID=$(${join('ann')} | jq -r .sessionId)`,
    `  curl -s ${sessions}/$ID | jq`,
    'without jq:',
    `  ${join('ben')}`,
    `  curl -s ${sessions}/<sessionId>`,
    'on its way, as it happens:',
    `  curl -sN ${sessions}/<sessionId>/events`,
    'out again, and the next one is let in:',
    `  curl -s -X POST ${sessions}/<sessionId>/leave`,
    'as an operator:',
    `  curl -s -X PUT http://${address}/api/waiting-room/rooms/concert ${json} -d '{"capacity":3}'`,
    '',
    'Ctrl-C ends everything',
  ]
}
