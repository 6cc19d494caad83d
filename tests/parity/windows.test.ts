/** I8 for windows of every size: in one event, in parts, by reference. */
import { afterAll, beforeAll, expect, test } from 'vitest'
import { generateCandles } from '../../db/walle/generate.ts'
import type { CandleColumns, RunRow } from '../../db/walle/rows.ts'
import { type InProcess, openInProcess } from '../support/in_process.ts'

const STRATEGY = `import { defineStrategy, z } from '../api.ts'
export default defineStrategy({
  id: 'wide', version: '1', description: 'Looks far back.',
  params: z.object({ bars: z.number() }),
  window: (params) => ({ bars: params.bars }),
  onWindow(ctx) {
    const [symbol] = ctx.symbols
    const { close } = ctx.window(symbol)
    if (close[0] < close[close.length - 1] && ctx.position(symbol).qty === '0') ctx.buy({ symbol, qty: '1', type: 'market' })
    else ctx.close(symbol)
  },
})
`
const WARM_UP = 14_010
const PLAYED = 3

let weaver: InProcess
let columns: CandleColumns
beforeAll(async () => {
  weaver = await openInProcess({ 'wide/index.ts': STRATEGY })
  const bars = generateCandles({
    timeframe: '1m',
    start: Date.UTC(2026, 0, 1),
    bars: WARM_UP + PLAYED,
    seed: 5,
    startPrice: 100,
    volatility: 0.02,
  })
  const column = (name: 'time' | 'open' | 'high' | 'low' | 'close' | 'volume') =>
    Float64Array.from(bars, (bar) => Number(bar[name]))
  columns = {
    time: column('time'),
    open: column('open'),
    high: column('high'),
    low: column('low'),
    close: column('close'),
    volume: column('volume'),
    trade_count: new Float64Array(bars.length),
  } as CandleColumns
  await weaver.store('WIDE/USD', '1m', columns)
})
afterAll(async () => {
  await weaver.close()
})

interface Told {
  type: string
  payload: {
    part?: number
    parts?: number
    windows: {
      bars?: number
      offset?: number
      columns?: { time: number[]; close: number[] } | null
      data_ref?: object | null
    }[]
  }
}

/** The events of the last tick's windows. The bar before the first played one closes at the start, and is a tick too. */
async function toldOf(run: RunRow): Promise<Told[]> {
  const rows = await weaver.system.db.reader.query<{ envelope: Told }>(
    `select payload as envelope from weaver.outbox
     where run_id = $1 and type like 'data.Window%' and (payload -> 'payload' ->> 'bar_index')::integer = $2 order by id`,
    [run.id, PLAYED],
  )
  return rows.map(({ envelope: { type, payload } }) => ({ type, payload }))
}

test.each([
  [100, ['data.WindowReady']],
  [1_500, ['data.WindowChunk', 'data.WindowChunk', 'data.WindowChunk', 'data.WindowComplete']],
  [14_005, ['data.WindowReady']],
])(
  'windows of %i bars',
  async (bars, types) => {
    const played = Object.fromEntries(
      Object.entries(columns).map(([name, values]) => [name, values.slice(WARM_UP)]),
    ) as unknown as CandleColumns
    const request = { strategy_id: 'wide', symbols: ['WIDE/USD'], timeframe: '1m', config: { bars } } as const
    const asked = { ...request, symbols: [...request.symbols] }
    const chain = await weaver.backtest({ ...asked, driver: 'chain' }, played)
    const chunk = await weaver.backtest({ ...asked, audit: 'full' }, played)
    const summary = await weaver.backtest(asked, played)
    expect([chain.error, chunk.error, chain.status, chunk.status]).toEqual([null, null, 'completed', 'completed'])
    expect(chain.result_hash).toBe(chunk.result_hash)
    expect(summary.result_hash).toBe(chunk.result_hash)

    const told = await toldOf(chain)
    expect(told.map(({ type }) => type)).toEqual(types)
    expect(await toldOf(chunk)).toEqual(told)
    const last = told.at(-1)?.payload.windows[0]
    expect(last?.bars).toBe(bars)
    const seen = columns.time.slice(-bars)
    const inline = told.flatMap(({ payload }) => payload.windows.flatMap((window) => window.columns?.time ?? []))
    if (bars > 14_000) expect([inline, last?.data_ref]).toEqual([[], expect.objectContaining({ symbol: 'WIDE/USD' })])
    else expect(inline).toEqual([...seen])
  },
  60_000,
)
