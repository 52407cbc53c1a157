import postgres from 'postgres'
import { readFileSync } from 'node:fs'
import { withOwnDatabase } from './own-database.ts'
import { claimInbox, lockWaitingKeys } from '../src/waiting-room/delivery-statements.ts'
import { createEffects } from './effects.ts'
const cpu = (pid: number) => { const s = readFileSync(`/proc/${pid}/schedstat`,'utf8'); return Number(s.split(' ')[0])/1e3 }
await withOwnDatabase(process.env.DATABASE_URL!, async ({url, sql}) => {
  await createEffects(sql)
  await sql.unsafe(`create function admit(g text, m text, t text, p int, o bigint, k bytea, out fresh boolean, out waiting boolean, out held boolean, out good boolean) language plpgsql as $$
  begin
    insert into waiting_room.inbox (group_id, message_id, topic, partition, "offset") values (g, m, t, p, o) on conflict do nothing;
    fresh := found;
    select x.open > 0, x.held_until > clock_timestamp(), x.held_until = 'infinity' into waiting, held, good from waiting_room.keys x where x.group_id = g and x.topic = t and x.key = k for update;
  end $$`)
  const s = postgres(url, { max: 1, fetch_types: true, onnotice(){} })
  const [{pid}] = await s`select pg_backend_pid() as pid` as any
  const N = 4000
  let n = 0
  const variants: Record<string, (tx: any, row: any, key: any) => Promise<any>> = {
    none: async () => {},
    json: (tx, row, key) => Promise.all([claimInbox(tx, 'g', [row]), lockWaitingKeys(tx, 'g', [key])]),
    plain: (tx, row, key) => Promise.all([
      tx`insert into waiting_room.inbox (group_id, message_id, topic, partition, "offset") values (${'g'}, ${row.message_id}, ${row.topic}, ${row.partition}, ${row.offset}) on conflict (group_id, message_id) do nothing returning message_id`,
      tx`select k.topic, encode(k.key,'hex') as key, k.open > 0 as waiting from waiting_room.keys k where k.group_id=${'g'} and k.topic=${key.topic} and k.key=decode(${key.key}::text,'hex') for update`]),
    fn: (tx, row, key) => tx`select * from admit(${'g'}, ${row.message_id}, ${row.topic}, ${row.partition}, ${row.offset}, decode(${key.key}::text,'hex'))`,
  }
  for (let r = 0; r < 2; r++) for (const [name, f] of Object.entries(variants)) {
    await new Promise(r=>setTimeout(r,50))
    const c0 = cpu(pid), t0 = performance.now(), n0 = process.cpuUsage()
    for (let i = 0; i < N; i++) {
      n++
      const row = { message_id: crypto.randomUUID(), topic: 'topic', partition: 1, offset: String(n) }
      await s.begin(async tx => { await f(tx, row, { topic: 'topic', key: Buffer.from('k'+n%500).toString('hex') }); await tx`insert into effects (run, event_id, key, seq) values ('x', ${row.message_id}, 'k', 1)` })
    }
    const u = process.cpuUsage(n0)
    console.log(name.padEnd(6), ((cpu(pid)-c0)/N).toFixed(0)+' µs pg', ((u.user+u.system)/N).toFixed(0)+' µs node', ((performance.now()-t0)/N*1000).toFixed(0)+' µs wall')
  }
  await s.end()
})
