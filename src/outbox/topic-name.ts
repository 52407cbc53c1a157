/** Kafka's limit, in characters. */
const TOPIC_LENGTH_MAX = 249
const TOPIC_CHARACTERS = /^[a-zA-Z0-9._-]+$/

/**
 * Why Kafka, or Sluice, would refuse the topic: a clause such as "is longer than 249 characters". null when it is legal.
 *
 * Names that begin with two underscores are legal in Kafka, but are its internal topics: nothing may be published there.
 */
export function topicFault(topic: string): string | null {
  if (topic === '') return 'is empty'
  if (topic.length > TOPIC_LENGTH_MAX) return `is longer than ${TOPIC_LENGTH_MAX} characters`
  if (topic === '.' || topic === '..') return 'must not be "." or ".."'
  if (!TOPIC_CHARACTERS.test(topic)) return 'holds a character other than a-z A-Z 0-9 . _ -'
  if (topic.startsWith('__')) return 'begins with "__", which is reserved for internal topics'
  return null
}
