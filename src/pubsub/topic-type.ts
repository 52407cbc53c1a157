/** Which of the two topics a frame goes to: work that any worker may do, or replies for the one who asked. */
export const topic_type = { worker: 'worker', reply_to: 'reply_to' } as const

export type topic_type = (typeof topic_type)[keyof typeof topic_type]
