import { type CaseFile, grouped } from './case-file.ts'
import type { Findings } from './consumer-rules.ts'
import type { ProducedRecord } from './history.ts'

/** I1, I2, I4, I6 and I8: what the handlers did, against what was produced. */
export function judgeEffects(file: CaseFile, findings: Findings): void {
  for (const group of file.groups) {
    judgeOnce(file, group, findings)
    judgeOrder(file, group, findings)
    judgeFates(file, group, findings)
  }
  judgePublished(file, findings)
  judgeDeadLetters(file, findings)
}

function judgeOnce(file: CaseFile, group: string, findings: Findings): void {
  const decisions = new Map(file.runs.map(run => [run.run, run.end?.decision ?? 'died']))
  for (const [id, effects] of grouped(file.effectsOf(group), effect => effect.messageId)) {
    const runs = effects.map(({ run }) => run).join(', ')
    if (effects.length > 1) findings.add('effect_twice', `${group} ${id} by ${runs}`)
    if (!file.messages.has(id)) findings.add('phantom', `${group} ${id}`)
    for (const { run } of effects) {
      const decision = decisions.get(run)
      if (decision !== 'done') findings.add('effect_of_failure', `${group} ${id}: ${decision}`)
    }
  }
}

/** Effects of a key come in the order of its records. */
function judgeOrder(file: CaseFile, group: string, findings: Findings): void {
  const last = new Map<string, ProducedRecord>()
  for (const { messageId } of file.effectsOf(group)) {
    const record = file.messages.get(messageId)
    if (!record?.ordered) continue
    const name = `${record.topic}/${record.key}`
    const before = last.get(name)
    if (before && before.offset > record.offset) {
      findings.add('out_of_order', `${group} ${name}: ${before.offset} before ${record.offset}`)
    }
    last.set(name, record)
  }
}

/** Each message has one effect, or is dead, or expired; and the group's inbox has it. */
function judgeFates(file: CaseFile, group: string, findings: Findings): void {
  const effects = new Map(file.effectsOf(group).map(effect => [effect.messageId, effect]))
  const tasks = file.history.all('task').filter(task => task.group === group)
  const dead = new Map(
    tasks.filter(({ state }) => state === 'dead').map(task => [task.messageId, task]),
  )
  const inbox = file.history.all('inbox').find(each => each.group === group)
  const claimed = new Set(inbox?.messageIds)
  for (const [id, record] of file.messages) {
    const { bad, expiresAtMs, delayUntilMs, timestampMs } = record
    const effect = effects.get(id)
    const what = `${group} ${id} at ${record.topic}/${record.partition}/${record.offset}`
    if (!claimed.has(id)) findings.add('unclaimed', what)
    if (bad && effect) findings.add('effect_of_bad', what)
    if (bad && !dead.has(id) && expiresAtMs === null) findings.add('wrong_dead_letter', what)
    const spent = (dead.get(id)?.attempts ?? 0) >= file.campaign.attemptsMax
    if (!bad && dead.has(id) && !spent) findings.add('wrong_dead_letter', `${what}: it is sound`)
    if (effect && dead.has(id)) findings.add('wrong_dead_letter', `${what}: it took effect`)
    if (!effect && !dead.has(id) && expiresAtMs === null) findings.add('lost', what)
    if (effect && expiresAtMs !== null && expiresAtMs < timestampMs) {
      findings.add('effect_of_expired', what)
    }
    if (effect && delayUntilMs !== null && effect.startedAtMs < delayUntilMs) {
      findings.add('early', `${what}: ${delayUntilMs - effect.startedAtMs} ms`)
    }
  }
}

/** What handlers publish is there for each effect, and for nothing else. */
function judgePublished(file: CaseFile, findings: Findings): void {
  const nameOf = ({ group, messageId }: { group: string; messageId: string }) =>
    `${group} ${messageId}`
  const published = new Set(file.history.all('published').map(nameOf))
  const effects = new Set(file.history.all('effect').map(nameOf))
  for (const name of effects) {
    if (!published.has(name)) findings.add('published_otherwise', `${name}: not published`)
  }
  for (const name of published) {
    if (!effects.has(name)) findings.add('published_otherwise', `${name}: without effect`)
  }
}

/** Each dead task was published with the bytes and headers of its record. */
function judgeDeadLetters(file: CaseFile, findings: Findings): void {
  const letters = grouped(file.history.all('dead_letter'), ({ origin }) => origin)
  const dead = file.history.all('task').filter(({ state }) => state === 'dead')
  for (const [id, tasks] of grouped(dead, task => task.messageId)) {
    const record = file.messages.get(id)
    if (!record) continue
    const places = file.history
      .all('record')
      .filter(({ messageId }) => messageId === id)
      .map(({ topic, partition, offset }) => `${topic}/${partition}/${offset}`)
    const found = places.flatMap(place => letters.get(place) ?? [])
    if (found.length < tasks.length) findings.add('dead_letter_missing', `${id} of ${places}`)
    for (const { valueSha256, headers } of found) {
      if (valueSha256 !== record.valueSha256 || headers !== record.headers) {
        findings.add('dead_letter_altered', `${id}: ${headers} instead of ${record.headers}`)
      }
    }
    for (const task of tasks) {
      if (task.valueSha256 !== record.valueSha256) findings.add('dead_letter_altered', `task ${id}`)
    }
  }
}
