import { readFileSync, readdirSync } from 'node:fs'
import { createTopics, disconnect, freshName, openKafka } from '../src/demo/kafka.ts'
import { environmentOf } from '../src/demo/relay-process.ts'
import { loadOptions } from '../src/options.ts'
import { batchesOfBus, singlesOfBus } from './bus-consumers.ts'
import { createEffects, judgeEffects } from './effects.ts'
import { withOwnDatabase } from './own-database.ts'
import { batchesRaw, readRaw, singlesRaw } from './raw-consumers.ts'
import { publishRaw } from './raw-producer.ts'
import postgres from 'postgres'
const which = (process.env.W ?? 'singles').split(',')
const events = Number(process.env.N ?? 10000), conc = Number(process.env.C ?? 16)
const parts = { databaseUrl: process.env.DATABASE_URL!, kafkaBrokers: process.env.KAFKA_BROKERS! } as any
await withOwnDatabase(parts.databaseUrl, async ({url, sql}) => {
  const env = { ...environmentOf(parts, process.env), DATABASE_URL: url }
  const { databaseUrl, kafka: connection } = loadOptions(env)
  const kafka = openKafka({ ...connection, clientId: 'sluice-bench' })
  const admin = kafka.admin(); await admin.connect()
  const topic = freshName('bench-one')
  await createTopics(admin, [topic], 12); await createEffects(sql)
  await publishRaw(kafka, { events, keys: Number(process.env.K ?? 5000), bytes: 500, partitions: 12, topic })
  const cpu = (pid: number) => { try { const s = readFileSync(`/proc/${pid}/stat`,'utf8'); const f = s.slice(s.lastIndexOf(')')+2).split(' '); return (Number(f[11])+Number(f[12]))/100 } catch { return 0 } }
  const mine = new Map<number, number>()
  const poll = async () => { for (const { pid } of await sql`select pid from pg_stat_activity where datname=current_database() and pid<>pg_backend_pid()` as any) mine.set(pid, cpu(pid)) }
  for (let r = 0; r < Number(process.env.R ?? 1); r++) for (const w of which) {
    const run = { kafka, connection, databaseUrl, topic, events, run: `${topic}-${w}-${r}` }
    mine.clear()
    let go = true
    const poller = (async () => { while (go) { await poll(); await new Promise(r => setTimeout(r, 150)) } })()
    const p = w === 'read' ? await readRaw(run) : w === 'rawBatches' ? await batchesRaw(run) : w === 'batches' ? await batchesOfBus(run) : w === 'rawSingles' ? await singlesRaw(run, conc) : await singlesOfBus(run, conc)
    go = false; await poller
    if (w !== 'read') await judgeEffects(sql, run.run, events)
    const pg = [...mine.values()].reduce((a,b)=>a+b,0)
    console.log(w.padEnd(11), Math.round(p.eventsPerSecond)+'/s', p.cpuMicrosPerEvent.toFixed(0)+' µs node', (pg*1e6/events).toFixed(0)+' µs pg', 'load', readFileSync('/proc/loadavg','utf8').slice(0,14))
  }
  await admin.deleteTopics({topics:[topic]}); await disconnect(admin)
})
