import type { Admin } from 'kafkajs'
import { openKafka } from './kafka.ts'
import { until } from './until.ts'

const DEADLINE_MS = 20_000

/** Deletes a topic and waits until the brokers do not name it any more. */
export async function deleteTopic(topic: string): Promise<void> {
  await withAdmin(async admin => {
    await admin.deleteTopics({ topics: [topic] })
    const gone = async () => !(await admin.listTopics()).includes(topic)
    await until(gone, { deadlineMs: DEADLINE_MS, what: `topic ${topic} is gone` })
  })
}

/** Makes a topic of this name anew; whoever made the first one deletes it. */
export async function recreateTopic(topic: string, partitions: number): Promise<void> {
  await withAdmin(async admin => {
    await admin.createTopics({ topics: [{ topic, numPartitions: partitions }] })
    await writable(admin, topic, partitions)
  })
}

/** Gives a topic more partitions. */
export async function growTopic(topic: string, partitions: number): Promise<void> {
  await withAdmin(async admin => {
    await admin.createPartitions({ topicPartitions: [{ topic, count: partitions }] })
    await writable(admin, topic, partitions)
  })
}

async function writable(admin: Admin, topic: string, partitions: number): Promise<void> {
  const all = async () => (await admin.fetchTopicOffsets(topic)).length === partitions
  await until(all, { deadlineMs: DEADLINE_MS, what: `${topic} has ${partitions} partitions` })
}

async function withAdmin(work: (admin: Admin) => Promise<void>): Promise<void> {
  const admin = openKafka().admin()
  await admin.connect()
  try {
    await work(admin)
  } finally {
    await admin.disconnect().catch(() => {})
  }
}
