import { count, type Option, option } from './option.ts'
import { duration, httpAddress, integer, orOff, secretList, text, topicName } from './parsers.ts'

export const admissionHttpDefault = '127.0.0.1:8080'

/** The options of `sluice admission` alone. */
export const admissionOptionTable = {
  admissionHttp: option({
    section: 'Admission',
    names: ['SLUICE_ADMISSION_HTTP'],
    parse: httpAddress(),
    fallback: admissionHttpDefault,
    doc: 'host:port of the waiting rooms’ API and page. Put TLS in front of it before the public reaches it.',
  }),
  admissionCapacity: option({
    section: 'Admission',
    names: ['SLUICE_ADMISSION_CAPACITY'],
    parse: orOff(integer(0, 1_000_000)),
    fallback: '100',
    doc: 'Capacity of a room that is made by the first join for its event, or off: rooms are made by an operator only, and other joins are refused.',
  }),
  admissionKeys: {
    ...option({
      section: 'Admission',
      names: ['SLUICE_ADMISSION_SECRET'],
      parse: secretList(32),
      fallback: null,
      fallbackNote: 'a key kept in the database',
      doc: 'Signs the tokens of admitted visitors, and checks them in the applications behind: at least 32 characters. Several, separated by commas, while it is changed: the first signs, all are accepted.',
    }),
    secret: true as const,
  },
  admissionAdminToken: {
    ...option({
      section: 'Admission',
      names: ['SLUICE_ADMISSION_ADMIN_TOKEN'],
      parse: secretList(16, 1),
      fallback: null,
      fallbackNote: 'none: operators’ calls are answered on this machine only',
      doc: 'What operators’ calls must bear: at least 16 characters.',
    }),
    secret: true as const,
  },
  admissionJoinsPerSecond: option({
    section: 'Admission',
    names: ['SLUICE_ADMISSION_JOINS_PER_SECOND'],
    parse: orOff(integer(1, 100_000)),
    fallback: '10',
    doc: 'Joins of one client address in a second, or off. Too low: visitors behind one address are refused. Too high: one visitor can fill the room’s queue.',
  }),
  admissionProxies: count(
    'SLUICE_ADMISSION_PROXIES',
    [0, 0, 10],
    'Proxies in front of it whose X-Forwarded-For is believed; nobody may then reach the port but through them. Too low: all visitors share the proxy’s address. Too high: visitors can choose their address.',
    'Admission',
  ),
  admissionJoinsTopic: option({
    section: 'Admission',
    names: ['SLUICE_ADMISSION_JOINS_TOPIC'],
    parse: topicName(),
    fallback: 'waiting-room-joins',
    doc: 'Where joins are published; made with the brokers’ defaults if it is missing. Another one for each of several deployments on one cluster.',
  }),
  admissionGroup: option({
    section: 'Admission',
    names: ['SLUICE_ADMISSION_GROUP'],
    parse: text(),
    fallback: 'waiting-room-granter',
    doc: 'The consumer group that gives places. All processes on one database share it; no others may.',
  }),
  admissionChangesTopic: option({
    section: 'Admission',
    names: ['SLUICE_ADMISSION_CHANGES_TOPIC'],
    parse: orOff(topicName()),
    fallback: 'waiting-room-changes',
    doc: 'Where each grant and end of a session is told, or off.',
  }),
  admissionRetentionMs: option({
    section: 'Admission',
    names: ['SLUICE_ADMISSION_RETENTION'],
    parse: duration(3_650 * 86_400_000),
    fallback: '24h',
    doc: 'How long sessions that have ended are kept; and after how long without a sign of life a waiting one ends.',
  }),
} as const satisfies Record<string, Option>
