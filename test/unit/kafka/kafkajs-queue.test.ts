import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import '../../../src/kafka/kafkajs-session.ts'

const { prototype } = createRequire(import.meta.url)('kafkajs/src/network/requestQueue') as {
  prototype: { scheduleCheckPendingRequests(): void }
}

function scheduled(pending: readonly unknown[]): boolean {
  const queue: { throttleCheckTimeoutId?: NodeJS.Timeout | undefined } = {}
  prototype.scheduleCheckPendingRequests.call({
    throttledUntil: -1,
    pending,
    get throttleCheckTimeoutId() {
      return queue.throttleCheckTimeoutId
    },
    set throttleCheckTimeoutId(timer: NodeJS.Timeout | undefined) {
      queue.throttleCheckTimeoutId = timer
    },
    checkPendingRequests() {},
  } as never)
  clearTimeout(queue.throttleCheckTimeoutId)
  return queue.throttleCheckTimeoutId !== undefined
}

test('a connection on which nothing waits has no timer, one on which a request waits has', () => {
  assert.deepEqual([scheduled([]), scheduled([{}])], [false, true])
})
