/**
 * Paper runs played again from their log: identical when nothing was disturbed, also over a restart of Weaver, and each
 * disturbance in its class. `PARITY_ORDERS=200` for longer runs.
 */
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { Parity } from '../../db/walle/queries/parity.ts'
import { record } from '../../db/walle/record.ts'
import { openPaperWorld, type PaperWorld } from '../support/paper_world.ts'
import { until } from '../support/until.ts'

const MINUTE = 60_000
/** Of the run that crosses, before and after the restart. */
const ORDERS = Number(process.env.PARITY_ORDERS ?? '1')
const DEADLINE_MS = 120_000 * ORDERS
const NONE = { data: 0, decision: 0, order: 0, fill: 0, cost: 0 }

/** What it keeps in its module is gone with its host. */
const LEAKY = `import { defineStrategy, z } from '../api.ts'
let asked = 0
export default defineStrategy({
  id: 'leaky', version: '1', description: 'Keeps what it should not.', params: z.object({}), window: () => ({ bars: 1 }),
  onWindow(ctx) {
    asked += 1
    ctx.buy({ symbol: ctx.symbols[0], qty: String(asked), type: 'market' })
  },
})
`

let paper: PaperWorld
const ids = { crossing: '', restless: '', leaky: '', rejected: '' }

async function start(strategy_id: string, config: object = {}): Promise<string> {
  const { id } = await paper.start({
    strategy_id,
    symbols: ['SIM/USD'],
    config: { ...config } as Record<string, string>,
  })
  return id
}

beforeAll(async () => {
  paper = await openPaperWorld({ SIM_COMMISSION_BPS: '5' }, { 'leaky/index.ts': LEAKY })
  ids.crossing = await start('sma_cross', { fast: 1, slow: 2, qty: '3' })
  ids.restless = await start('restless')
  ids.leaky = await start('leaky')
  await trade([ids.crossing, ids.leaky], ORDERS)
  await paper.down()
  await paper.up()
  await trade([ids.crossing, ids.leaky], ORDERS)
  for (const id of [ids.crossing, ids.restless, ids.leaky]) await paper.stop(id)
  await paper.exchange.setFaults({ rejected: 1 })
  ids.rejected = await start('leaky')
  await trade([ids.rejected], 2)
  await paper.stop(ids.rejected)
}, 3 * DEADLINE_MS)

afterAll(() => paper.close())

interface Placed {
  bar_index: number
  qty: string
}

function placed(id: string): Promise<Placed[]> {
  return paper.query<Placed>(
    `select bar_index::int as bar_index, trim_scale(qty)::text as qty from weaver.orders where run_id = $1 order by ordinal`,
    [id],
  )
}

/** Until each of the runs has placed so many orders more, and a minute later. */
async function trade(runs: readonly string[], orders: number): Promise<void> {
  const before = await Promise.all(runs.map(placed))
  await until(
    `${orders} more orders of ${runs.length} runs`,
    async () => {
      await paper.pass(MINUTE)
      const now = await Promise.all(runs.map(placed))
      return now.every((list, index) => list.length >= (before[index]?.length ?? 0) + orders) ? true : null
    },
    DEADLINE_MS,
  )
  await paper.pass(MINUTE)
}

async function replay(id: string): Promise<Parity> {
  const { commands } = paper.weaver.control
  const asked = await commands.replayRun(id, {})
  expect([asked.state, asked.verdict]).toEqual(['pending', null])
  return until('the replay to end', async () => {
    const parity = await commands.getParity(id)
    return parity.state === 'pending' ? null : parity
  })
}

const kinds = ({ differences }: Parity) => [...new Set(differences?.map(({ class: name, what }) => `${name}/${what}`))]

test('a run that nothing disturbed is identical, over a restart of Weaver too', async () => {
  const parity = await replay(ids.crossing)
  expect([parity.error, parity.differences, parity.notes]).toEqual([null, [], []])
  expect([parity.verdict, parity.counts]).toEqual(['identical', NONE])
  const [booked] = await paper.query<{ ticks: number; orders: number; fills: number; fees: string }>(
    `select (select count(*)::int from weaver.clock_ticks where run_id = $1 and missed_reason is null) as ticks,
       (select count(*)::int from weaver.orders where run_id = $1) as orders, count(*)::int as fills,
       trim_scale(sum(fee))::text as fees from weaver.fills where run_id = $1`,
    [ids.crossing],
  )
  expect(parity).toMatchObject({ ...booked, fees: { booked: booked?.fees, model: '0' } })
  expect(booked?.orders).toBeGreaterThan(1)
  // A market order pays half of the spread, and what the price did since the bar's open.
  // Of the last one the bar may not have been seen.
  expect([0, 1]).toContain(parity.unjudged)
  expect((parity.slippage?.orders ?? 0) + (parity.unjudged ?? 0)).toBe(booked?.orders)
  expect(Math.abs(parity.slippage?.mean_bps as number)).toBeLessThan(10)
}, 60_000)

test('one that fetches, cancels and hears of its orders takes the same decisions; what differs is what its venue refuses', async () => {
  const { counts, differences, error } = await replay(ids.restless)
  expect(error).toBeNull()
  expect(counts).toEqual({ ...NONE, order: differences?.length })
  for (const { cause } of differences ?? []) expect(cause).toMatch(/the order was refused: .*is not a multiple of 0.01/)
}, 60_000)

test('decision: what a strategy keeps outside of its state was lost with its host', async () => {
  const parity = await replay(ids.leaky)
  expect([parity.verdict, kinds(parity)]).toEqual(['diverged', ['decision/intents']])
  const orders = await placed(ids.leaky)
  const first = orders.findIndex(({ qty }, index) => qty !== String(index + 1))
  expect(parity.first_divergence).toMatchObject({
    ...{ class: 'decision', bar_index: orders[first]?.bar_index },
    ...{ recorded: 'buy 1 SIM/USD market', expected: `buy ${first + 1} SIM/USD market` },
  })
}, 60_000)

test('order: the venue rejects what the model fills', async () => {
  const parity = await replay(ids.rejected)
  expect(parity.counts).toEqual({ ...NONE, order: (await placed(ids.rejected)).length })
  expect(kinds(parity)).toEqual(['order/rejected'])
  expect(parity.first_divergence?.recorded).toBe('rejected: venue: rejected by the market')
  expect(parity.first_divergence?.expected).toMatch(/^(filled: 1 at|accepted)/)
}, 60_000)

test('data: a stored candle was changed after the run had seen it', async () => {
  const [bar] = await paper.query<{
    time: Date
    open: string
    high: string
    low: string
    close: string
    volume: string
  }>(
    `select "timestamp" as time, open, high, low, close, volume from weaver.candles
     where symbol = 'SIM/USD' and timeframe = '1m'
       and "timestamp" < (select min(ts) from weaver.clock_ticks where run_id = $1 and event_id is not null)
     order by "timestamp" desc limit 1`,
    [ids.crossing],
  )
  if (!bar) throw new Error('no candle is stored')
  const { time, ...prices } = bar
  const store = (volume: string) => {
    const candle = { time: time.getTime(), ...prices, volume, trade_count: null }
    const kind = { symbol: 'SIM/USD', timeframe: '1m', adjustment: 'raw', feed: 'sim' } as const
    return paper.weaver.system.db.write((tx) =>
      record(tx, { writes: [{ kind: 'store_candles', candles: [candle], ...kind }], events: [] }),
    )
  }
  await store('12345')
  const parity = await replay(ids.crossing)
  await store(bar.volume)
  expect([parity.counts, kinds(parity)]).toEqual([{ ...NONE, data: 1 }, ['data/revised']])
  expect(parity.first_divergence).toMatchObject({ symbol: 'SIM/USD', ts: bar.time.toISOString() })
  expect(parity.first_divergence?.expected).toContain('volume 12345')
}, 60_000)

test('fill and cost: what is booked is not what the venue reported', async () => {
  const [fill] = await paper.query<{ id: string; order_id: string }>(
    'select id, order_id from weaver.fills where run_id = $1 order by ordinal limit 1',
    [ids.crossing],
  )
  await paper.query(`update weaver.fills set fee = fee + 1 where id = $1`, [fill?.id])
  const dear = await replay(ids.crossing)
  expect([dear.counts, kinds(dear)]).toEqual([{ ...NONE, cost: 1 }, ['cost/booked']])
  expect(dear.first_divergence).toMatchObject({ order_id: fill?.order_id, symbol: 'SIM/USD' })
  await paper.query('delete from weaver.fills where id = $1', [fill?.id])
  const lost = await replay(ids.crossing)
  expect([lost.counts, kinds(lost)]).toEqual([{ ...NONE, fill: 1 }, ['fill/missing']])
  expect(lost.first_divergence).toMatchObject({ order_id: fill?.order_id, recorded: null })
}, 60_000)

test('a replay under way is given again; backtests and runs that never started have none', async () => {
  const { commands } = paper.weaver.control
  const [one, other] = [
    await commands.replayRun(ids.leaky, {}),
    await commands.replayRun(ids.leaky, { tolerance_bps: 3 }),
  ]
  expect([one.state, other]).toEqual(['pending', { ...one, progress: other.progress }])
  expect((await commands.getParity(ids.rejected)).state).toBe('completed')
  await expect(commands.replayRun(ids.leaky, { tolerance_bps: -1 })).rejects.toThrow(
    'tolerance_bps must be a number from 0',
  )
  const pending = await commands.createRun(
    { strategy_id: 'leaky', mode: 'paper', exchange: 'sim', symbols: ['SIM/USD'], timeframe: '1m' },
    { corrId: ids.leaky },
  )
  expect((await commands.getParity(pending.id)).state).toBe('none')
  await expect(commands.replayRun(pending.id, {})).rejects.toMatchObject({ code: 'CONFLICT' })
  await until('the replay to end', async () =>
    (await commands.getParity(ids.leaky)).state === 'pending' ? null : true,
  )
}, 60_000)
