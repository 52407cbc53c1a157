import { benchConsume } from './consume.ts'
const events = Number(process.env.N ?? 50000)
await benchConsume({events, keys: 5000, bytes: 500, partitions: 12, rounds: Number(process.env.R ?? 1)}, t=>console.log(t), r => {
  for (const [k,v] of Object.entries(r)) console.log(k.padEnd(12), Math.round(v.eventsPerSecond)+'/s', v.cpuMicrosPerEvent.toFixed(0)+' µs')
})
