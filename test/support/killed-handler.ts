import { createBus, jsonCodec } from '../../src/consumer/index.ts'

/** A member whose process kills itself once its first handler has written an effect and a reply, before the commit. */
const { url, brokers, topic, group } = JSON.parse(process.argv[2] ?? '{}')
const bus = createBus({
  databaseUrl: url,
  kafka: { brokers, clientId: 'killed-handler' },
  controlTopic: null,
})
await bus.subscribe(
  { group, topics: [topic], codec: jsonCodec<number[]>() },
  async (_, context) => {
    await context.sql`insert into sums values (1)`
    await context.reply(1)
    process.kill(process.pid, 'SIGKILL')
  },
)
