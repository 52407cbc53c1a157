import assert from 'node:assert/strict'
import { test } from 'node:test'
import { RoomGlance } from '../../../src/admission/page/room-glance.ts'

function openGlance(answer: () => Promise<null> = async () => null) {
  const asked: string[] = []
  const glance = new RoomGlance({
    room: eventId => {
      asked.push(eventId)
      return answer()
    },
  })
  return { glance, asked }
}

test('a crowd that opens one room asks for it once', async () => {
  const { glance, asked } = openGlance()
  await Promise.all(Array.from({ length: 100 }, () => glance.room('concert')))
  await glance.room('theatre')
  assert.deepEqual(asked, ['concert', 'theatre'])
})

test('a failure reaches everybody who asked', async () => {
  const { glance } = openGlance(async () => {
    throw new Error('away')
  })
  const answers = await Promise.allSettled([glance.room('concert'), glance.room('concert')])
  assert.deepEqual(
    answers.map(({ status }) => status),
    ['rejected', 'rejected'],
  )
})

test('names that somebody makes up do not pile up', async () => {
  const { glance, asked } = openGlance()
  for (let number = 0; number <= 1_000; number++) await glance.room(`room ${number}`)
  await glance.room('room 1000')
  assert.equal(asked.length, 1_001)
  await glance.room('room 0')
  assert.equal(asked.length, 1_002)
})
