import { expect, test } from 'vitest'
import { createCoalescer, type Key, keysFor, STREAM_EVENTS } from './invalidation.ts'

test('the end of a run makes everything of it stale, and the list', () => {
  for (const name of ['run.completed', 'run.stopped', 'run.error']) {
    expect(keysFor(name, 'r1')).toEqual([['runs'], ['run', 'r1'], ['positions', 'r1']])
  }
})

test('progress refreshes the run and its curve but not its tables', () => {
  expect(keysFor('run.progress', 'r1')).toEqual([['runs'], ['run', 'r1', 'detail'], ['run', 'r1', 'equity']])
})

test('a fill refreshes what it changes in its own run', () => {
  expect(keysFor('order.filled', 'r1')).toContainEqual(['run', 'r1', 'trades'])
  expect(keysFor('order.accepted', 'r1')).toEqual([
    ['run', 'r1', 'orders'],
    ['run', 'r1', 'decisions'],
    ['run', 'r1', 'events'],
  ])
})

test('an event without a run touches lists only', () => {
  expect(keysFor('run.created', null)).toEqual([['runs']])
  expect(keysFor('tick', null)).toEqual([])
})

test('a halt is told on every page, and an account on its own', () => {
  for (const name of ['system.halted', 'system.resumed']) expect(keysFor(name, null)).toContainEqual(['halts'])
  expect(keysFor('account.changed', null)).toEqual([['accounts']])
  expect(keysFor('account.changed', 'r1')).toContainEqual(['positions', 'r1'])
})

test('imported candles refresh data sets and charts', () => {
  expect(keysFor('data.changed', null)).toEqual([['datasets'], ['candles']])
})

test('a price of the market refreshes what is held, and reads no data set anew', () => {
  for (const type of ['market.Bar', 'market.Quote', 'market.Trade']) {
    expect(keysFor('data.changed', null, type)).toEqual([['positions'], ['accounts']])
  }
})

test('a name that is not known touches nothing', () => {
  expect(keysFor('weather.changed', 'r1')).toEqual([])
  expect(STREAM_EVENTS).not.toContain('heartbeat')
})

test('a thousand events within a window invalidate each key once, and a prefix covers what is below it', () => {
  const tasks: (() => void)[] = []
  const invalidated: Key[] = []
  const mark = createCoalescer({
    flushMs: 250,
    schedule: (task) => void tasks.push(task),
    invalidate: (key) => void invalidated.push(key),
  })
  for (let i = 0; i < 1000; i++) mark(keysFor('run.progress', 'r1'))
  mark(keysFor('run.completed', 'r1'))
  expect(tasks).toHaveLength(1)
  tasks[0]?.()
  expect(invalidated).toEqual([['runs'], ['run', 'r1'], ['positions', 'r1']])
  mark([])
  expect(tasks).toHaveLength(1)
  mark(keysFor('run.created', null))
  expect(tasks).toHaveLength(2)
})
