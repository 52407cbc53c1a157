import { AirCoreFrame } from './air-core-frame.ts'

/** Makes frames bytes and bytes frames. Both sides of a topic need the same one. */
export interface FrameCodec {
  encode(frame: AirCoreFrame): Uint8Array
  /** May throw anything: the bytes are then no frame, and are passed over. */
  decode(bytes: Uint8Array): AirCoreFrame
}

/** The binary layout of `AirCoreFrame.toBinary`. */
export const binary_frames: FrameCodec = Object.freeze({
  encode: (frame: AirCoreFrame) => frame.toBinary(),
  decode: (bytes: Uint8Array) => AirCoreFrame.fromBinary(bytes),
})
