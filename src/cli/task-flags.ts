import { type Command, InvalidArgumentError } from 'commander'
import type { Mandate } from '../operator/audit.ts'
import type { Placement } from '../operator/task-changes.ts'
import { CONTROL_TOPIC } from '../waiting-room/control-event.ts'
import { topicName } from './operator-flags.ts'

/** Flags that say how a change gets into the room. */
export interface PlacementFlags {
  readonly viaTopic?: true
  readonly controlTopic: string
}

/** Adds the flags of `PlacementFlags`. */
export function addPlacementFlags(command: Command): Command {
  return command
    .option('--via-topic', 'send it to the control topic instead; the consumers apply it')
    .option('--control-topic <topic>', 'that topic’s name', topicName, CONTROL_TOPIC)
}

export function placementOf({ viaTopic, controlTopic }: PlacementFlags): Placement {
  return { viaTopic: viaTopic ?? false, controlTopic }
}

/** Who and why, as a command needs it: readers of the control topic refuse one without a reason. */
export function authorOf({ actor, reason }: Mandate): { actor: string; reason: string } {
  return { actor, reason: reason ?? 'none given' }
}

/** What was done about a command that was sent. */
export function sentText(controlTopic: string): string {
  return `Sent to ${controlTopic} through the outbox; the group’s consumers apply it.\n`
}

/** One of the words given. */
export function oneOf<T extends string>(words: readonly T[]): (text: string) => T {
  return text => {
    const word = words.find(each => each === text)
    if (word !== undefined) return word
    throw new InvalidArgumentError(`Write one of ${words.join(', ')}.`)
  }
}
