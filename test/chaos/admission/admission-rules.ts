import type { Violations } from '../campaign/violations.ts'

/** What a history can be guilty of; each rule's meaning stands where it is judged. */
export const admissionRules = [
  'over_capacity',
  'granted_while_paused',
  'room_not_held',
  'commits_out_of_order',
  'turns_interleaved',
  'counters_off',
  'wrong_transition',
  'numbered_twice',
  'number_not_above',
  'granted_unnumbered',
  'overtaken',
  'place_left_free',
  'expired_early',
  'expired_late',
  'lease_cut',
  'abandoned_wrongly',
  'abandoned_while_seen',
  'two_open_sessions',
  'out_of_log_order',
  'wrong_log_place',
  'wrong_partition',
  'lost_join',
  'not_published',
  'published_twice',
  'phantom_record',
  'altered_record',
  'not_numbered',
  'not_ended',
  'wrong_end',
  'contradicted',
  'change_lost',
  'change_twice',
  'change_phantom',
  'change_out_of_order',
  'change_altered',
  'replay_changed',
  'stuck',
  'bad_exit',
  'journal_incomplete',
] as const

export type AdmissionRule = (typeof admissionRules)[number]

export type Findings = Violations<AdmissionRule>
