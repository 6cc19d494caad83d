import { createHash } from 'node:crypto'
import { expect, test } from 'vitest'
import type { PlaceIntent } from '../../strategies/api.ts'
import { type CancelTarget, createResultHasher } from './result_hash.ts'

const INTENT: PlaceIntent = {
  kind: 'place',
  client_order_id: 'w-1',
  symbol: 'BTC/USD',
  side: 'buy',
  order_type: 'limit',
  qty: '0.5',
  limit_price: '41999.5',
  stop_price: null,
  trail_price: null,
  trail_percent: null,
  time_in_force: 'gtc',
  extended_hours: false,
  take_profit: '45000',
  stop_loss: null,
  reason: 'dip',
}

const TARGET: CancelTarget = {
  symbol: 'BTC/USD',
  side: 'buy',
  order_type: 'limit',
  qty: '0.5',
  price: '41999.5',
  stop_price: null,
  time_in_force: 'gtc',
  take_profit: '45000',
  stop_loss: null,
}

const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')

test('a run that did nothing has the hash of nothing', () => {
  expect(createResultHasher().digest()).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855')
})

test('the hash is over one line of JSON a record: intents, orders, fills', () => {
  const hasher = createResultHasher()
  hasher.intent('2024-01-01T01:00:00.000Z', 0, INTENT, null)
  hasher.intent('2024-01-01T02:00:00.000Z', 0, { kind: 'cancel', client_order_id: 'w-1' }, TARGET)
  hasher.order('cancelled', '0.2', '41999.5')
  hasher.fill('2024-01-01T01:00:00.000Z', 0, 'buy', '0.2', '41999.5', '8.3999')
  // printf of exactly these four lines, each ended by a line feed, through sha256sum.
  const lines = [
    '["2024-01-01T01:00:00.000Z",0,"place","BTC/USD","buy","limit","0.5","41999.5",null,"gtc","45000",null]',
    '["2024-01-01T02:00:00.000Z",0,"cancel","BTC/USD","buy","limit","0.5","41999.5",null,"gtc","45000",null]',
    '["cancelled","0.2","41999.5"]',
    '["2024-01-01T01:00:00.000Z",0,"buy","0.2","41999.5","8.3999"]',
  ]
  const hash = hasher.digest()
  expect(hash).toBe(sha256(lines.map((line) => `${line}\n`).join('')))
  expect(hash).toBe('c3cd8dc71628f3aebae387cb25460ee82259da355850d011e9dd449c958d4525')
})

test('ids and reasons do not matter, quantities and prices do', () => {
  const hashOf = (changes: Partial<PlaceIntent>) => {
    const hasher = createResultHasher()
    hasher.intent('2024-01-01T01:00:00.000Z', 0, { ...INTENT, ...changes }, null)
    return hasher.digest()
  }
  expect(hashOf({ client_order_id: 'w-2', reason: null })).toBe(hashOf({}))
  expect(hashOf({ qty: '0.51' })).not.toBe(hashOf({}))
  expect(hashOf({ stop_loss: '1' })).not.toBe(hashOf({}))
  expect(hashOf({ limit_price: null, stop_price: '41999.5' })).not.toBe(hashOf({}))
})

test('a cancel of an order that never was has nulls where the order would stand', () => {
  const hasher = createResultHasher()
  hasher.intent('2024-01-01T01:00:00.000Z', 3, { kind: 'cancel', client_order_id: 'no such order' }, null)
  expect(hasher.digest()).toBe(
    sha256('["2024-01-01T01:00:00.000Z",3,"cancel",null,null,null,null,null,null,null,null,null]\n'),
  )
})
