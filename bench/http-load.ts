/** The process that asks: orders come over IPC, one at a time, and each is answered with what it took. */
import { HttpConnection, type HttpStep } from './http-connection.ts'

export interface LoadOrder {
  readonly hostname: string
  readonly port: number
  readonly connections: number
  readonly steps: readonly HttpStep[]
  /** Steps are repeated from the first for so long; null: each is asked once. */
  readonly forMs: number | null
}

export interface LoadReport {
  readonly requests: number
  readonly perSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  /** How many answers had each status. */
  readonly statuses: Readonly<Record<string, number>>
  /** Of one core, by this process. */
  readonly cpuShare: number
  /** From the first request to the last answer. */
  readonly seconds: number
}

process.on('message', (order: LoadOrder) => {
  play(order).then(
    report => process.send?.({ report }),
    error => process.send?.({ error: String(error) }),
  )
})
process.on('disconnect', () => process.exit(0))

async function play(order: LoadOrder): Promise<LoadReport> {
  const { hostname, port, steps, forMs } = order
  const opened = Array.from({ length: order.connections }, () =>
    HttpConnection.open(hostname, port),
  )
  const connections = await Promise.all(opened)
  const takenMs: number[] = []
  const statuses: Record<string, number> = {}
  const cpu = process.cpuUsage()
  const startedMs = performance.now()
  let next = 0
  const isOver = () =>
    forMs === null ? next >= steps.length : performance.now() - startedMs >= forMs
  const ask = async (connection: HttpConnection) => {
    while (!isOver()) {
      const step = steps[next++ % steps.length] as HttpStep
      const askedMs = performance.now()
      const status = await connection.ask(step)
      takenMs.push(performance.now() - askedMs)
      statuses[status] = (statuses[status] ?? 0) + 1
    }
  }
  await Promise.all(connections.map(ask))
  const lastedMs = performance.now() - startedMs
  const { user, system } = process.cpuUsage(cpu)
  for (const connection of connections) connection.close()
  takenMs.sort((a, b) => a - b)
  const at = (share: number) => takenMs[Math.floor((takenMs.length - 1) * share)] ?? 0
  return {
    requests: takenMs.length,
    perSecond: (takenMs.length * 1_000) / lastedMs,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    statuses,
    cpuShare: (user + system) / 1_000 / lastedMs,
    seconds: lastedMs / 1_000,
  }
}
