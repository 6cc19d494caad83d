/** What is asked at every tick and at every look at an account reads a few rows, whatever else lies in the tables. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../../../tests/support/database.ts'
import { anOrder, aRun, aSource } from '../../../tests/support/walle_rows.ts'
import { connectOwner } from '../../client.ts'
import type { Reader } from '../../database.ts'
import { record } from '../record.ts'
import { movingSymbols, openAccountOrders } from './accounts.ts'
import { findOrder, unfinishedSends } from './live_orders.ts'
import { countLateBars } from './market.ts'

const BACKTEST_ORDERS = 20_000
const LIVE_ORDERS = 3_000
const WAITS = 5_000
const MOST_ROWS = 200
const ACCOUNT = { exchange: 'alpaca', mode: 'paper' } as const
const [LIVE, BACKTEST] = [aRun(1, { mode: 'paper', exchange: 'alpaca' }), aRun(2)]

let database: TestDatabase
let owner: Awaited<ReturnType<typeof connectOwner>>

beforeAll(async () => {
  database = await createTestDatabase()
  owner = await connectOwner({ url: database.url, applicationName: 'weaver volume test' })
  const orders = [LIVE, BACKTEST].map(({ id }) => anOrder(id, 0, { status: 'filled' }))
  await database.db.write((tx) =>
    record(tx, {
      writes: [
        { kind: 'store_source', source: aSource() },
        ...[LIVE, BACKTEST].map((run) => ({ kind: 'create_run', run }) as const),
        { kind: 'insert_orders', rows: orders },
      ],
      events: [],
    }),
  )
  await owner.query('set session_replication_role = replica')
  const copies = `insert into weaver.orders select copy.*
    from weaver.orders o, generate_series(1, $3::int) n, lateral jsonb_populate_record(o, jsonb_build_object(
      'id', gen_random_uuid(), 'ordinal', n, 'client_order_id', o.run_id || '-' || n, 'created_at', now() - interval '30 days',
      'updated_at', now() - interval '30 days', 'exchange_order_id', case when $2 then 'x-' || n end)) copy
    where o.run_id = $1 and o.ordinal = 0`
  await owner.query(copies, [BACKTEST.id, false, BACKTEST_ORDERS])
  await owner.query(copies, [LIVE.id, true, LIVE_ORDERS])
  await owner.query(
    `insert into weaver.order_sends (order_id, run_id, exchange, mode, wanted_at, state, attempts, lookups)
     select id, run_id, 'alpaca', 'paper', created_at, 'answered', 1, 0 from weaver.orders where run_id = $1`,
    [LIVE.id],
  )
  await owner.query(
    `insert into weaver.window_waits (run_id, bar_index, ts, in_hand_ms, missing, late)
     select $1, n, now(), 5, '{}', 0 from generate_series(1, $2::int) n`,
    [LIVE.id, WAITS],
  )
  await owner.query('analyze')
}, 120_000)

afterAll(async () => {
  await owner.end()
  await database.drop()
})

interface Plan {
  'Actual Rows': number
  'Actual Loops': number
  'Rows Removed by Filter'?: number
  Plans?: Plan[]
}

/** What every node of a plan took in, thrown away included. */
function rowsIn(plan: Plan): number {
  const own = (plan['Actual Rows'] + (plan['Rows Removed by Filter'] ?? 0)) * plan['Actual Loops']
  return (plan.Plans ?? []).reduce((sum, child) => sum + rowsIn(child), own)
}

async function rowsReadBy(ask: (reader: Reader) => Promise<unknown>): Promise<number> {
  let read = 0
  const explaining: Reader = {
    async query(text: string, values: readonly unknown[] = []) {
      const { rows } = await owner.query(`explain (analyze, format json) ${text}`, [...values])
      read += rowsIn(rows[0]['QUERY PLAN'][0].Plan)
      return []
    },
    copyTo: () => Promise.reject(new Error('nothing is copied here')),
  }
  await ask(explaining)
  return read
}

test.each<[string, (reader: Reader) => Promise<unknown>]>([
  ['symbols with orders on the move', (reader) => movingSymbols(reader, ACCOUNT, 60_000)],
  ['open orders of an account', (reader) => openAccountOrders(reader, ACCOUNT)],
  [
    'an order by its client id',
    (reader) =>
      findOrder(reader, ACCOUNT, { client_order_id: `${LIVE.id}-7`, exchange_order_id: null, replaces: null }),
  ],
  [
    "an order by its venue's id",
    (reader) => findOrder(reader, ACCOUNT, { client_order_id: null, exchange_order_id: 'x-7', replaces: null }),
  ],
  ['sends that nobody has a job for', (reader) => unfinishedSends(reader, ACCOUNT)],
  ['bars that came late', (reader) => countLateBars(reader, LIVE.id)],
])('%s', async (_what, ask) => {
  expect(await rowsReadBy(ask)).toBeLessThan(MOST_ROWS)
})
