import { afterAll, beforeAll, expect, test } from 'vitest'
import { append } from '../../db/events/append.ts'
import type { LogEvent, NewEvent } from '../../db/events/envelope.ts'
import { tickEventId } from '../../db/events/ids.ts'
import { getEvent } from '../../db/events/read.ts'
import type { OrderEvent } from '../../db/walle/projections/orders.ts'
import { record } from '../../db/walle/record.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import { createTestDatabase, type TestDatabase } from '../../tests/support/database.ts'
import { startLiveRun } from '../../tests/support/live_run.ts'
import { anOrder } from '../../tests/support/walle_rows.ts'
import { partsOf, windowEvents } from '../greta/window_events.ts'
import { heardView, readWindows, type WindowEvent } from './view.ts'

const MINUTE = 60_000
const T0 = Date.parse('2026-03-01T00:00:00.000Z')

let database: TestDatabase
let run: RunRow
beforeAll(async () => {
  database = await createTestDatabase()
  run = await startLiveRun(database.db, 1)
})
afterAll(() => database.drop())

const columnsOf = (bars: number, base: number) => {
  const column = (of: (n: number) => number) => Float64Array.from({ length: bars }, (_, n) => of(n))
  const time = column((n) => T0 + n * MINUTE)
  const values = (add: number) => column((n) => base + n / 8 + add)
  return { time, open: values(0), high: values(1), low: values(-1), close: values(0.5), volume: values(7) }
}

let nextTick = 0

/** The windows in the log, as a fetch tells them; gives the last event. */
async function tell(windows: Record<string, ReturnType<typeof columnsOf>>, stored: boolean): Promise<WindowEvent> {
  const barIndex = nextTick++
  const requests = Object.entries(windows).map(([symbol, { time }]) => {
    return { symbol, timeframe: '1m' as const, bars: Math.max(1, time.length) }
  })
  const get = (symbol: string) => ({ ...windows[symbol], length: windows[symbol]?.time.length }) as never
  const common = { run_id: run.id, corr_id: tickEventId(run.id, barIndex, 0), ts: new Date(T0).toISOString() }
  const command = {
    ...{ ...common, id: tickEventId(run.id, barIndex, 2), type: 'live.FetchWindow', causation_id: null },
    ...{ producer: 'glados', payload: { bar_index: barIndex, requests } },
  } as NewEvent
  const told = windowEvents(requests, { get }, { bar_index: barIndex, ts: T0, stored }).map((build, n) => {
    const place = { id: tickEventId(run.id, barIndex, 3 + n), causation_id: command.id, producer: 'veda' }
    return { ...build(), ...common, ...place } as NewEvent
  })
  await database.db.write((tx) => append(tx, [command, ...told], { route: false }))
  return (await getEvent(database.db.reader, (told.at(-1) as NewEvent).id)) as LogEvent as WindowEvent
}

const shownOf = (windows: Record<string, ReturnType<typeof columnsOf>>) =>
  Object.entries(windows).map(([symbol, columns]) => ({ symbol, timeframe: '1m', columns }))

test.each([
  ['in one event', { A: columnsOf(31, 100), B: columnsOf(0, 0), C: columnsOf(2, 50) }],
  ['in parts', { A: columnsOf(1_000, 100), B: columnsOf(0, 0), C: columnsOf(1, 7), D: columnsOf(650, 50) }],
])('windows that came %s are seen to the bit', async (_, windows) => {
  const event = await tell(windows as Record<string, ReturnType<typeof columnsOf>>, false)
  const { shown, events } = await readWindows(database.db.reader, event)
  expect(shown).toEqual(shownOf(windows as Record<string, ReturnType<typeof columnsOf>>))
  const bars = Object.values(windows).map(({ time }) => time.length)
  expect(events).toBe(event.type === 'data.WindowReady' ? 1 : partsOf(bars).length + 1)
})

test('of an order that somebody changed at the venue the strategy hears what it was changed to, whatever came of it since', () => {
  const since = { status: 'filled', qty: '9', price: '95', filled_qty: '9', filled_avg_price: '96' } as const
  const order = { ...anOrder(run.id, 1, since), parent_client_order_id: null }
  const payload = {
    ...{
      order_id: order.id,
      client_order_id: order.client_order_id,
      exchange_order_id: 'x2',
      replaces: 'x1',
      qty: '12',
    },
    ...{ price: '97', stop_price: null, trail_price: null, trail_percent: null, time_in_force: 'day' },
    ...{ filled_qty: '4', filled_avg_price: '98' },
  }
  expect(heardView(order, { type: 'orders.Replaced', payload } as OrderEvent)).toMatchObject({
    ...{ id: order.client_order_id, status: 'partial', qty: '12', limit_price: '97', time_in_force: 'day' },
    ...{ filled_qty: '4', filled_avg_price: '98' },
  })
})

test('windows by reference are read where they are stored, and one that was changed since is an error', async () => {
  const columns = columnsOf(15_000, 100)
  const text = (name: keyof typeof columns, n: number) => String(columns[name][n])
  const candles = [...columns.time].map((time, n) => ({
    ...{ time, open: text('open', n), high: text('high', n), low: text('low', n), close: text('close', n) },
    ...{ volume: text('volume', n), trade_count: null },
  }))
  const write = { kind: 'store_candles', symbol: 'R', timeframe: '1m', candles: candles.slice(1) } as const
  await database.db.write((tx) => record(tx, { writes: [write], events: [] }))
  const event = await tell({ R: columns }, true)
  expect(event.type).toBe('data.WindowReady')
  await expect(readWindows(database.db.reader, event)).rejects.toThrow(
    '15000 bars of R 1m were told of, 14999 are stored',
  )
  expect((await readWindows(database.db.reader, event, { again: true })).shown[0]?.columns.time).toHaveLength(14_999)
  const first = { ...write, candles: candles.slice(0, 1) }
  await database.db.write((tx) => record(tx, { writes: [first], events: [] }))
  expect((await readWindows(database.db.reader, event)).shown).toEqual([{ symbol: 'R', timeframe: '1m', columns }])
})
