import { outboxAdapterContract } from '../../contract/outbox-adapter.ts'
import { inMemoryOutboxUnderTest } from '../../support/in-memory-outbox-under-test.ts'

outboxAdapterContract('in-memory adapter', async () => inMemoryOutboxUnderTest())
