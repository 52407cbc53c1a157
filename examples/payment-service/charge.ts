import { BadMessage, type Handler } from '../../src/consumer/index.ts' // 'sluice-outbox/consumer' in your project

export interface PaymentDue {
  readonly orderId: string
  readonly amount: number
}

/**
 * Charges through the breaker of `payments`, and notes the payment. The provider may be called again for a message
 * whose transaction was lost after the call, so it is given the message's id as idempotency key.
 */
export function chargeAt(url: string): Handler<PaymentDue> {
  return async ({ id, value: { orderId, amount } }, context) => {
    const status = await context.call('payments', async signal => {
      const headers = { 'content-type': 'application/json', 'idempotency-key': id }
      const body = JSON.stringify({ amount })
      const response = await fetch(url, { method: 'POST', headers, body, signal })
      if (response.status >= 500) throw new Error(`the provider answers ${response.status}`)
      return response.status
    })
    // The provider is there and says no: trying again cannot help.
    if (status >= 400) throw new BadMessage(`the provider refuses it with ${status}`)
    await context.sql`insert into payments.paid (order_id, amount) values (${orderId}, ${amount})`
  }
}

/** Whether the provider is there. */
export function probeOf(url: string): (signal: AbortSignal) => Promise<void> {
  return async signal => {
    const response = await fetch(url, { signal })
    if (!response.ok) throw new Error(`the provider answers ${response.status}`)
  }
}
