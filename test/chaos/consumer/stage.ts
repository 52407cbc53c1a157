import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import type postgres from 'postgres'
import { migrate } from '../../../src/migrate.ts'
import type { Sql } from '../../../src/postgres/database.ts'
import { applyConsumerSchema } from '../../support/consumer-schema.ts'
import { connect, type Parts } from '../campaign/stage.ts'

/** One campaign's database and topics on the parts. */
export interface ConsumerStage extends Parts {
  readonly name: string
  /** Through the proxy. */
  readonly url: string
  readonly directUrl: string
  readonly sql: postgres.Sql
  /** Partitions of each topic that the groups read. */
  readonly topics: Readonly<Record<string, number>>
  readonly groups: readonly [healthy: string, troubled: string]
  readonly controlTopic: string
  readonly deadLetterTopic: string
  readonly effectsTopic: string
  readonly folder: string
  readonly mailDownFile: string
  close(): Promise<void>
}

/** Where members write what they do. */
export const EFFECTS_SQL = `
  create schema chaos;
  create table chaos.effects (
    seq bigint generated always as identity primary key,
    group_id text not null,
    topic text not null,
    key text,
    n integer not null,
    message_id text not null,
    run text not null,
    attempt integer not null,
    started_at timestamptz not null
  )`

/** @param folder for what the members write; it must not be there yet */
export async function openStage(parts: Parts, folder: string): Promise<ConsumerStage> {
  await mkdir(folder, { recursive: true })
  const name = `consumers_${Math.random().toString(36).slice(2, 10)}`
  const admin = connect(parts.postgres.directUrl)
  await admin`create database ${admin(name)}`
  await admin.end()
  const directUrl = inDatabase(parts.postgres.directUrl, name)
  const sql = connect(directUrl)
  await migrate({ databaseUrl: directUrl })
  await applyConsumerSchema(sql as unknown as Sql)
  await sql.unsafe(EFFECTS_SQL)
  const topics = { [`${name}-orders`]: 4, [`${name}-audit`]: 3 }
  const others = [`${name}-control`, `${name}-dead`, `${name}-effects`] as const
  for (const [topic, partitions] of Object.entries(topics)) {
    await parts.cluster.createTopic(topic, { partitions })
  }
  for (const topic of others) await parts.cluster.createTopic(topic, { partitions: 2 })
  const [controlTopic, deadLetterTopic, effectsTopic] = others
  return {
    ...parts,
    ...{ name, directUrl, sql, topics, controlTopic, deadLetterTopic, effectsTopic, folder },
    url: inDatabase(parts.postgres.url, name),
    groups: [`${name}-a`, `${name}-b`],
    mailDownFile: join(folder, 'mail-is-down'),
    close: async () => {
      await sql.end({ timeout: 1 })
    },
  }
}

function inDatabase(url: string, name: string): string {
  const address = new URL(url)
  address.pathname = `/${name}`
  return address.href
}
