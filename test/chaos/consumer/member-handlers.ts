import { existsSync } from 'node:fs'
import type * as Kit from '../../../src/consumer/index.ts'
import { pause } from '../../../src/internal/pause.ts'
import type { ConsumerHappening, Decision } from './history.ts'
import type { Death, MemberSpec } from './member-spec.ts'
import type { Instruction } from './message-plan.ts'

export interface HandlerParts {
  readonly kit: typeof Kit
  readonly spec: MemberSpec
  readonly tell: (happening: ConsumerHappening) => void
  /** Kills the process, if it is to die there. */
  readonly dieIf: (at: Death) => void
}

type Received = Kit.Message<Instruction>

/** What a member does with its messages: an effect and an event for each, and then what the message wants. */
export class MemberHandlers {
  readonly #parts: HandlerParts
  #runs = 0

  constructor(parts: HandlerParts) {
    this.#parts = parts
  }

  readonly one: Kit.Handler<Instruction> = async (message, context) => {
    const run = this.#begin(message, context.attempt)
    try {
      await this.#take(message, context, { run, attempt: context.attempt })
      await this.#need(message, context)
    } catch (error) {
      this.#end(run, error instanceof this.#parts.kit.DependencyDown ? 'down' : 'broken')
      throw error
    }
    if (context.signal.aborted) {
      this.#end(run, 'broken')
      throw new Error('told to leave')
    }
    this.#dieAfterwards()
    return this.#decide(message.value, context.attempt, (decision, againAtMs) =>
      this.#end(run, decision, againAtMs),
    )
  }

  readonly many: Kit.BatchHandler<Instruction> = async (messages, context) => {
    const runs = messages.map(message => this.#begin(message, null))
    const endAll = (decision: Decision) => {
      for (const run of runs) this.#end(run, decision)
    }
    try {
      for (const [index, message] of messages.entries()) {
        await this.#take(message, context, { run: runs[index] ?? '', attempt: 0 })
      }
      context.signal.throwIfAborted()
    } catch (error) {
      endAll('broken')
      throw error
    }
    this.#dieAfterwards()
    if (messages.some(({ value }) => value.act === 'poison')) {
      endAll(messages.length === 1 ? 'bad' : 'broken')
      throw new this.#parts.kit.BadMessage('poison')
    }
    endAll('done')
  }

  #begin({ id: messageId, topic, partition, offset }: Received, attempt: number | null): string {
    const { spec, tell } = this.#parts
    const run = `${spec.name}#${++this.#runs}`
    const of = { run, messageId, topic, partition, offset: String(offset), attempt }
    tell({ kind: 'run', atMs: Date.now(), group: spec.group, ...of })
    return run
  }

  #end(run: string, decision: Decision, againAtMs: number | null = null): void {
    this.#parts.tell({ kind: 'run_ended', atMs: Date.now(), run, decision, againAtMs })
  }

  async #take(
    { id, key, topic, value: { n, act } }: Received,
    context: Kit.BatchContext,
    { run, attempt }: { run: string; attempt: number },
  ): Promise<void> {
    const { spec, dieIf } = this.#parts
    await context.sql`
      insert into chaos.effects (group_id, topic, key, n, message_id, run, attempt, started_at)
      values (${spec.group}, ${topic}, ${key}, ${n}, ${id}, ${run}, ${attempt}, clock_timestamp())`
    dieIf('in_handler')
    if (act === 'killer') process.kill(process.pid, 'SIGKILL')
    await context.publish({
      messageKey: () => id,
      messageData: () => ({ group: spec.group, messageId: id }),
      topicName: () => spec.effectsTopic,
      eventType: () => 'Effect',
    })
  }

  async #need({ value: { act, amount } }: Received, context: Kit.Context): Promise<void> {
    if (!this.#parts.spec.troubled) return
    await context.call('mail', async () => this.askMail())
    if (act === 'slow') await pause(amount, context.signal)
  }

  /** @throws while the dependency is down */
  askMail(): void {
    if (existsSync(this.#parts.spec.mailDownFile)) throw new Error('503')
  }

  /** When the transaction is about to be committed. */
  #dieAfterwards(): void {
    setImmediate(() => this.#parts.dieIf('before_commit'))
  }

  /** What the message wants, after its effects: all but `done` must undo them. */
  #decide(
    { act, amount }: Instruction,
    attempt: number,
    end: (decision: Decision, againAtMs?: number) => void,
  ): Kit.Outcome {
    const { kit, spec } = this.#parts
    if (act === 'poison') {
      end('bad')
      throw new kit.BadMessage('poison')
    }
    if (spec.troubled && (act === 'doomed' || (act === 'flaky' && attempt <= amount))) {
      end('retry')
      throw new Error(act)
    }
    if (spec.troubled && attempt === 1) {
      if (act === 'bug') {
        end('bug')
        return (undefined as unknown as { outcome: () => Kit.Outcome }).outcome()
      }
      if (act === 'retry_at') {
        const again = new Date(Date.now() + amount)
        end('retry_at', again.getTime())
        throw new kit.RetryAt(again, 'later')
      }
      if (act === 'hold') {
        end('hold')
        return { kind: 'hold', reason: 'the campaign' }
      }
    }
    end('done')
    return kit.DONE
  }
}
