import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { expect, test } from 'vitest'
import { createPauses } from './pauses.ts'

test('a pause ends with its time, or when it is woken, whichever comes first', async () => {
  const slept: (() => void)[] = []
  const pauses = createPauses(() => new Promise((resolve) => slept.push(resolve)))
  const ended: string[] = []
  const [first, second] = ['first', 'second'].map((name) => pauses.pause(1_000).then(() => ended.push(name)))
  slept[1]?.()
  await second
  expect(ended).toEqual(['second'])
  pauses.wake()
  await first
  expect(ended).toEqual(['second', 'first'])
  slept[0]?.()
  pauses.wake()
  expect(ended).toEqual(['second', 'first'])
})

test('who wakes before a pause begins does not end it', async () => {
  let sleepOver = () => {}
  const pauses = createPauses(() => new Promise((resolve) => (sleepOver = resolve)))
  pauses.wake()
  let over = false
  const pause = pauses.pause(1_000).then(() => (over = true))
  await new Promise(setImmediate)
  expect(over).toBe(false)
  sleepOver()
  await pause
})

test('a hundred thousand pauses keep nothing', async () => {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  const pauses = createPauses(() => Promise.resolve())
  const heap = () => {
    collect()
    return process.memoryUsage().heapUsed
  }
  await pauses.pause(1)
  const before = heap()
  for (let count = 0; count < 100_000; count++) await pauses.pause(1)
  expect(heap() - before).toBeLessThan(3_000_000)
})
