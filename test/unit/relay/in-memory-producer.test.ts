import { producerContract } from '../../contract/producer.ts'
import { InMemoryProducer } from '../../support/in-memory-producer.ts'

producerContract('in-memory producer', async () => {
  const producer = new InMemoryProducer()
  let topics = 0
  return {
    producer,
    createTopic: async partitions => {
      const topic = `topic-${topics++}`
      producer.createTopic(topic, partitions)
      return topic
    },
    readTopic: async topic => producer.read(topic),
  }
})
