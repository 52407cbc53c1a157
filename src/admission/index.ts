/** Public surface of admission; re-exports only. Applications behind a waiting room need `sluice-outbox/verify-admission` alone. */
export {
  type Admission,
  type AdmissionSettings,
  createAdmission,
} from '../create-admission.ts'
export { type ErrorCode, SluiceError } from '../errors.ts'
export type { AdmissionDesk } from './admission-desk.ts'
export type { Room, RoomSettings } from './room.ts'
export type { Joined, JoinRequest, Session, SessionStatus } from './session.ts'
export { TooBusy } from './too-busy.ts'
export type { JoinRecord } from './topics.ts'
export {
  type Admission as VerifiedAdmission,
  AdmissionRefused,
  admissionGuard,
  type GuardedRequest,
  type GuardResult,
  type RefusalReason,
  stillAdmitted,
  type TokenSecret,
  type VerifyOptions,
  verifyAdmission,
} from './verify-admission.ts'
