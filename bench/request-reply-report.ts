import { median } from './median.ts'
import type { EchoFigures, Latency, RequestReplyRound } from './request-reply.ts'

export function medianOfRequestReply(rounds: readonly RequestReplyRound[]): RequestReplyRound {
  return {
    raw: medianOf(rounds.map(({ raw }) => raw)),
    own: medianOf(rounds.map(({ own }) => own)),
  }
}

export function requestReplyLines({ raw, own }: RequestReplyRound): string[] {
  const rate = (value: number) => `${Math.round(value).toLocaleString('en-US')}/s`.padStart(9)
  return [
    latencyLine('one by one', raw.oneByOne, own.oneByOne),
    latencyLine('at a steady rate', raw.steady, own.steady),
    [
      `  ${'many open at once'.padEnd(18)}`,
      `kafkajs ${rate(raw.requestsPerSecond)}`,
      `Correspondent ${rate(own.requestsPerSecond)}`,
      `ratio ${(own.requestsPerSecond / raw.requestsPerSecond).toFixed(2)}`,
    ].join('  '),
  ]
}

function medianOf(figures: readonly EchoFigures[]): EchoFigures {
  const latency = (of: (each: EchoFigures) => Latency): Latency => ({
    p50Ms: median(figures.map(each => of(each).p50Ms)),
    p99Ms: median(figures.map(each => of(each).p99Ms)),
  })
  return {
    oneByOne: latency(({ oneByOne }) => oneByOne),
    steady: latency(({ steady }) => steady),
    requestsPerSecond: median(figures.map(each => each.requestsPerSecond)),
  }
}

function latencyLine(name: string, raw: Latency, own: Latency): string {
  const shown = ({ p50Ms, p99Ms }: Latency) => `p50 ${p50Ms.toFixed(1)} p99 ${p99Ms.toFixed(1)} ms`
  return [
    `  ${name.padEnd(18)}`,
    `kafkajs ${shown(raw)}`,
    `Correspondent ${shown(own)}`,
    `ratio ${(own.p50Ms / raw.p50Ms).toFixed(2)} and ${(own.p99Ms / raw.p99Ms).toFixed(2)}`,
  ].join('  ')
}
