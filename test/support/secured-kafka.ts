import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import kafkajs from 'kafkajs'
import { cacheFolder } from '../../src/embedded/cache-folder.ts'
import { freePorts } from '../../src/embedded/free-port.ts'
import { findJava } from '../../src/embedded/java.ts'
import { kafkaJars } from '../../src/embedded/kafka-jars.ts'
import { NODE_SETTINGS } from '../../src/embedded/kafka-settings.ts'
import { PartProcess, runToEnd } from '../../src/embedded/part-process.ts'
import { awaitProbe, probeKafka } from '../../src/embedded/readiness.ts'
import { cleanup } from './cleanup.ts'
import type { Scope } from './parts.ts'

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, Kafka, ResourcePatternTypes } =
  kafkajs

const FORMAT_TIMEOUT_MS = 60_000
const START_TIMEOUT_MS = 60_000
const CLUSTER_ID = 'SecuredKafkaForTests00'
const KEYTOOL_TIMEOUT_MS = 30_000
const KEYSTORE_PASSWORD = 'keystore-secret'
const END_STEPS = [{ signal: 'SIGTERM', waitMs: 5_000 }] as const

export const RELAY_PASSWORD = 'relay-secret'

/** A broker that asks for credentials, knows the user `relay`, and makes every topic that a client lets it make. */
export interface SecuredKafka {
  /** Takes PLAIN, SCRAM-SHA-256 and SCRAM-SHA-512. */
  readonly brokers: string[]
  /** PEM text of the authority that the broker's certificate comes from; '' without TLS. */
  readonly ca: string
  /** Asks for nothing; for the test itself. */
  readonly kafka: kafkajs.Kafka
  /** From now on only the user `somebody-else` may use the topic. */
  forbid(topic: string): Promise<void>
}

/** Needs Java. Ended after the test. @param options `tls`: credentials are taken over TLS alone */
export async function startSecuredKafka(
  t: Scope,
  { tls = false }: { readonly tls?: boolean } = {},
): Promise<SecuredKafka> {
  const folder = await mkdtemp(join(tmpdir(), 'sluice-secured-kafka-'))
  const { signal } = new AbortController()
  const env = process.env
  const java = await findJava(env)
  const jars = await kafkaJars({
    folder,
    cacheFolder: cacheFolder(env),
    env,
    onProgress: () => {},
    signal,
  })
  const [port, openPort, controllerPort] = (await freePorts(3)) as [number, number, number]
  const file = join(folder, 'server.properties')
  await writeFile(file, settingsText(folder, [port, openPort, controllerPort], tls))
  const classPath = join(jars, '*')
  const scram = ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap(mechanism => [
    '--add-scram',
    `${mechanism}=[name=relay,password=${RELAY_PASSWORD}]`,
  ])
  const command = { command: java, cwd: folder, env }
  const ca = tls ? await makeCertificate(java, folder) : ''
  const format = ['kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', file, ...scram]
  await runToEnd(
    {
      ...command,
      name: 'the storage tool',
      args: ['-cp', classPath, ...format],
      logFile: join(folder, 'format.log'),
    },
    FORMAT_TIMEOUT_MS,
    signal,
  )
  const args = ['-Xmx384m', '-cp', classPath, 'kafka.Kafka', file]
  const part = PartProcess.start({
    ...command,
    name: 'the secured Kafka',
    args,
    logFile: join(folder, 'kafka.log'),
  })
  cleanup(t, async () => {
    await part.stop(END_STEPS)
    await rm(folder, { recursive: true, force: true })
  })
  const open = `127.0.0.1:${openPort}`
  await awaitProbe(() => probeKafka(open, CLUSTER_ID), {
    part,
    timeoutMs: START_TIMEOUT_MS,
    signal,
  })
  const kafka = new Kafka({
    brokers: [open],
    clientId: 'sluice-test-support',
    logLevel: kafkajs.logLevel.NOTHING,
  })
  return { brokers: [`127.0.0.1:${port}`], ca, kafka, forbid: topic => forbid(kafka, topic) }
}

/** Signed by itself, for 127.0.0.1. @returns its PEM text; the broker finds the rest in the folder */
async function makeCertificate(java: string, folder: string): Promise<string> {
  const store = ['-keystore', join(folder, 'broker.p12'), '-storetype', 'PKCS12']
  const secret = ['-storepass', KEYSTORE_PASSWORD, '-alias', 'broker']
  const name = ['-dname', 'CN=sluice-test', '-ext', 'san=ip:127.0.0.1', '-validity', '2']
  const keytool = async (name: string, args: readonly string[]) => {
    const part = {
      name,
      command: dirname(java) === '.' ? 'keytool' : join(dirname(java), 'keytool'),
      args: [...args, ...store, ...secret],
      cwd: folder,
      env: process.env,
      logFile: join(folder, 'keytool.log'),
    }
    await runToEnd(part, KEYTOOL_TIMEOUT_MS, new AbortController().signal)
  }
  await keytool('keytool', ['-genkeypair', '-keyalg', 'RSA', '-keysize', '2048', ...name])
  const file = join(folder, 'ca.pem')
  await keytool('keytool', ['-exportcert', '-rfc', '-file', file])
  return readFile(file, 'utf8')
}

async function forbid(kafka: kafkajs.Kafka, topic: string): Promise<void> {
  const admin = kafka.admin()
  await admin.connect()
  const rule = {
    resourceType: AclResourceTypes.TOPIC,
    resourceName: topic,
    resourcePatternType: ResourcePatternTypes.LITERAL,
    principal: 'User:somebody-else',
    host: '*',
    operation: AclOperationTypes.ALL,
    permissionType: AclPermissionTypes.ALLOW,
  }
  await admin.createAcls({ acl: [rule] })
  await admin.disconnect()
}

function settingsText(
  folder: string,
  [port, openPort, controllerPort]: readonly [number, number, number],
  tls: boolean,
): string {
  const login = 'org.apache.kafka.common.security'
  const settings = {
    ...NODE_SETTINGS,
    'auto.create.topics.enable': 'true',
    listeners: `CLIENT://127.0.0.1:${port},OPEN://127.0.0.1:${openPort},CONTROLLER://127.0.0.1:${controllerPort}`,
    'advertised.listeners': `CLIENT://127.0.0.1:${port},OPEN://127.0.0.1:${openPort}`,
    'listener.security.protocol.map': `CLIENT:${tls ? 'SASL_SSL' : 'SASL_PLAINTEXT'},OPEN:PLAINTEXT,CONTROLLER:PLAINTEXT`,
    'inter.broker.listener.name': 'OPEN',
    'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
    'log.dirs': join(folder, 'data'),
    'listener.name.client.sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512',
    'listener.name.client.plain.sasl.jaas.config': `${login}.plain.PlainLoginModule required user_relay="${RELAY_PASSWORD}";`,
    'listener.name.client.scram-sha-256.sasl.jaas.config': `${login}.scram.ScramLoginModule required;`,
    'listener.name.client.scram-sha-512.sasl.jaas.config': `${login}.scram.ScramLoginModule required;`,
    ...(tls && {
      'listener.name.client.ssl.keystore.location': join(folder, 'broker.p12'),
      'listener.name.client.ssl.keystore.type': 'PKCS12',
      'listener.name.client.ssl.keystore.password': KEYSTORE_PASSWORD,
    }),
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    'allow.everyone.if.no.acl.found': 'true',
    'super.users': 'User:ANONYMOUS',
  }
  return Object.entries(settings)
    .map(([name, value]) => `${name}=${value}\n`)
    .join('')
}
