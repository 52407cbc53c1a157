import type { ConsumerMutant } from './mutant-list.ts'

const STATEMENTS = 'src/waiting-room/task-statements.ts'
const CLAIM = 'src/waiting-room/claim-tasks.ts'
const HEAD = 'src/waiting-room/key-head.ts'

/** What waits, and who lets it go on. */
export const mutantsOfRoom: readonly ConsumerMutant[] = [
  {
    name: 'a worker that has lost its claim commits all the same',
    scenario: 'frozen',
    file: 'src/waiting-room/postgres-task-store.ts',
    find: 'if (rows.length === 0) throw new Fenced()',
    replace: 'if (rows.length === 0) return',
  },
  {
    name: 'an attempt that met a dependency that was down is spent',
    scenario: 'dependency',
    file: STATEMENTS,
    find: 'attempts = greatest(t.attempts - 1, 0)',
    replace: 'attempts = t.attempts',
  },
  {
    name: 'attempts are not counted',
    scenario: 'calm',
    file: CLAIM,
    find: 'set attempts = t.attempts + 1,',
    replace: 'set attempts = t.attempts,',
  },
  {
    name: 'what is parked is due at once',
    scenario: 'calm',
    file: 'src/waiting-room/delivery-statements.ts',
    find: 'coalesce(to_timestamp(g.due_at_ms / 1000),',
    replace: 'coalesce(null,',
  },
  {
    name: 'what comes to the front of its key is due at once',
    scenario: 'calm',
    file: HEAD,
    find: 'greatest(t.due_at, f.held_until, clock_timestamp())',
    replace: 'clock_timestamp()',
  },
  {
    name: 'a group claims the tasks of another',
    scenario: 'calm',
    file: CLAIM,
    // biome-ignore lint/suspicious/noTemplateCurlyInString: a text of the sources
    find: 'where f.group_id = ${group} and f.due_at <= now()',
    replace: 'where f.due_at <= now()',
  },
  {
    name: 'the next of a key is not let go on',
    scenario: 'calm',
    file: HEAD,
    find: "where t.id = f.id and f.state = 'behind'",
    replace: "where t.id = f.id and f.state = 'nobody'",
  },
  {
    name: 'what leaves a key still counts',
    scenario: 'calm',
    file: HEAD,
    find: 'set open = greatest(open - 1, 0)',
    replace: 'set open = open',
  },
  {
    name: 'a task that fails for ever never dies',
    scenario: 'calm',
    file: 'src/waiting-room/task-end.ts',
    find: 'if (attempts >= settings.attemptsMax) return',
    replace: 'if (attempts >= settings.attemptsMax + 9) return',
  },
  {
    name: 'that a hold has ended is not told',
    scenario: 'held',
    file: 'src/waiting-room/hold-watch.ts',
    find: 'if (!isSame) for (const listener',
    replace: 'if (!isSame && held.size > 0) for (const listener',
  },
  {
    name: 'a hold is not looked at',
    scenario: 'held',
    file: 'src/waiting-room/hold-watch.ts',
    find: 'held.size > 0 &&\n',
    replace: 'held.size > 9 &&\n',
  },
  {
    name: 'commands are not heard',
    scenario: 'calm',
    file: 'src/waiting-room/control-stream.ts',
    find: 'if (isForeign(value, group)) return DONE',
    replace: 'if (isForeign(value, group) || group) return DONE',
  },
]
