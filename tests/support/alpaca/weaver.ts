/** Weaver's own jobs, keepers and clock, all of them, trading at the emulated Alpaca in a time that the test moves. */
import type { RunRow } from '../../../db/walle/rows.ts'
import type { Decimal } from '../../../jobs/greta/decimals.ts'
import type { TradingMode } from '../../../jobs/veda/venue.ts'
import { openPaperWorld, type PaperWorld, type PaperWorldOptions } from '../paper_world.ts'
import { pause, until } from '../until.ts'
import { type Emulator, startEmulator } from './emulator.ts'

/** The order that a run places at its first bar, a market buy of ten where nothing else is said. */
export interface Asked {
  symbol?: string
  side?: 'buy' | 'sell'
  qty?: string
  type?: 'market' | 'limit' | 'stop' | 'trailing_stop'
  limit_price?: string
  stop_price?: string
  stop_loss?: string
  take_profit?: string
  trail_percent?: string
  time_in_force?: string
  extended_hours?: boolean
  /** At another exchange than the emulated one. */
  exchange?: string
  timeframe?: '1m' | '1h'
  /** Traded too, and not ordered. */
  beside?: string
  /** Another bar than the first. */
  at_bar?: number
  /** The position is closed after so many bars. */
  close_after?: number
}

/** What there is at the end, with Weaver and at the venue. */
export interface Outcome {
  status: string
  filled: string
  fills: string[]
  /** The run's position, and what the venue's in the symbol has changed by. */
  held: [run: string, venue: string]
  /** How often it arrived at the venue, whatever became of the answers, and how often it was taken in. */
  sent: [posts: number, taken: number]
  /** What befell the order, in the log's order. */
  events: string[]
  paused: string[]
}

export interface WeaverAtAlpaca {
  paper: PaperWorld
  emulator: Emulator
  /** A run with one order at its first tick. */
  trade(asked?: Asked, risk?: object): Promise<RunRow>
  /** The same, until the order is accepted; gives its client id. */
  resting(asked?: Asked): Promise<string>
  /** Moves time until it is so. */
  until<T>(what: string, condition: () => Promise<T | null | undefined | false>): Promise<T>
  /** Moves time until the newest run's order is it. */
  reach(wanted: string, runId?: string): Promise<void>
  /** And then long enough for whatever could still come of it. */
  ends(wanted: string, runId?: string): Promise<void>
  settle(): Promise<void>
  /** Stops what runs, and lets the venue behave and be empty; what is counted begins anew. */
  reset(): Promise<void>
  /** The run's orders, as Weaver has them; the newest run's, unless another is named. */
  orders(runId?: string): Promise<OrderLine[]>
  order(runId?: string): Promise<OrderLine>
  outcome(runId?: string): Promise<Outcome>
  account(): Promise<{ state: string; state_reason: string | null }>
  /** Classes of what reconciliations found since the last reset. */
  findings(): Promise<string[]>
  close(): Promise<void>
}

export interface OrderLine {
  client_order_id: string
  exchange_order_id: string | null
  symbol: string
  status: string
  filled_qty: string
  filled_avg_price: string | null
  reject_reason: string | null
}

/** Before Weaver's own clock is there. */
const START = Date.UTC(2025, 2, 3, 14, 0, 30)
const STEP_MS = 5_000
const DEADLINE_MS = 60_000
/** Longer than from one reconciliation to the next. */
const SETTLED_MS = 65_000
const SYMBOLS = ['BTC/USD', 'ETH/USD', 'BTC/USDT', 'SHIB/USDT', 'NOPE/USD', 'AAPL', 'SPY', 'BRK.A', 'GONE']
const LIMITS = { max_order_notional: 1_000_000, max_daily_loss: 1_000_000 }

const STRATEGY = `import { defineStrategy, z } from '../api.ts'
const text = z.string().optional()
export default defineStrategy({
  id: 'asks',
  version: '1',
  description: 'Places one order at its first bar.',
  params: z.object({
    side: z.enum(['buy', 'sell']).default('buy'),
    qty: z.string().default('10'),
    type: z.enum(['market', 'limit', 'stop', 'trailing_stop']).default('market'),
    limit_price: text,
    stop_price: text,
    stop_loss: text,
    take_profit: text,
    trail_percent: text,
    time_in_force: z.enum(['day', 'gtc', 'ioc', 'fok', 'opg', 'cls']).optional(),
    extended_hours: z.boolean().optional(),
    at_bar: z.number().default(1),
    close_after: z.number().optional(),
  }),
  window: () => ({ bars: 1 }),
  init: () => ({ bars: 0 }),
  onWindow(ctx) {
    const [symbol] = ctx.symbols
    const { side, at_bar, close_after, ...order } = ctx.params
    ctx.state.bars += 1
    if (ctx.state.bars === at_bar) ctx[side]({ symbol, ...order })
    if (ctx.state.bars === close_after) ctx.close(symbol)
  },
})
`

export async function openWeaverAtAlpaca(
  mode: TradingMode = 'paper',
  { rateLimit = 100_000, ...options }: Pick<PaperWorldOptions, 'patienceMs'> & { rateLimit?: number } = {},
): Promise<WeaverAtAlpaca> {
  let paper: PaperWorld | null = null
  const now = () => paper?.time.now() ?? START
  const emulator = await startEmulator({ mode, now, ghostMs: 0, rateLimit })
  const { control } = emulator
  for (const symbol of SYMBOLS) {
    for (const [timeframe, step] of Object.entries({ '1Min': 60_000, '1Hour': 3_600_000 })) {
      control.market.serve(symbol, timeframe, step, (t) => ({ t, o: 100, h: 101, l: 99, c: 100, v: 10, n: 2 }))
    }
    control.setPrice(symbol, '100')
  }
  const opened = await openPaperWorld(emulator.env, { 'asks/index.ts': STRATEGY }, options)
  paper = opened
  const { query } = opened
  const runs: string[] = []
  const newest = () => runs.at(-1) ?? null
  const before = { findings: 0, held: new Map<string, Decimal>() }
  const told = () =>
    query<{ class: string }>(
      `select f ->> 'class' as class from weaver.outbox o, jsonb_array_elements(o.payload #> '{payload,findings}') f
      where o.type = 'account.Reconciled' order by o.id`,
    )
  const world: WeaverAtAlpaca = {
    paper: opened,
    emulator,
    async trade({ symbol = 'BTC/USD', exchange = 'alpaca', timeframe = '1m', beside, ...config } = {}, risk = {}) {
      const symbols = beside === undefined ? [symbol] : [symbol, beside]
      const run = await opened.start({
        ...{ strategy_id: 'asks', mode, exchange, symbols, timeframe, config },
        risk: mode === 'live' ? { ...LIMITS, ...risk } : risk,
      })
      runs.push(run.id)
      return run
    },
    async resting(asked) {
      await world.trade(asked)
      await world.reach('accepted')
      return (await world.order()).client_order_id
    },
    until: (what, condition) =>
      until(
        what,
        async () => {
          const found = await condition()
          if (found !== null && found !== undefined && found !== false) return found
          // What is on the line arrives by the wall's clock.
          await pause(5)
          await opened.pass(STEP_MS)
          return null
        },
        DEADLINE_MS,
      ),
    reach: (wanted, runId) =>
      world
        .until(`the order to be ${wanted}`, async () =>
          (await world.orders(runId)).some(({ status }) => status === wanted),
        )
        .then(() => {}),
    async ends(wanted, runId) {
      await world.reach(wanted, runId)
      await world.settle()
    },
    settle: () => opened.pass(SETTLED_MS),
    async reset() {
      control.faults.clear()
      control.updates.drop(0)
      control.updates.release()
      control.keepCancels(false)
      control.autoFill(false)
      control.restoreKeys()
      control.setCash('100000')
      control.book.strangeActivityIds = false
      for (const id of runs.splice(0)) if ((await opened.run(id)).status === 'running') await opened.stop(id)
      // What a test left at the venue was its own doing: the next begins with an account that agrees.
      await world.until('the account to be ready', async () => (await world.account()).state === 'ready')
      for (const symbol of await paused()) await opened.weaver.control.commands.acceptPosition(name, symbol, CORR)
      const held = new Map(SYMBOLS.map((symbol) => [symbol, control.book.position(symbol)]))
      Object.assign(before, { findings: (await told()).length, held })
    },
    orders: (runId = newest() ?? undefined) =>
      query<OrderLine>(
        `select client_order_id, exchange_order_id, symbol, status, trim_scale(filled_qty)::text as filled_qty,
          trim_scale(filled_avg_price)::text as filled_avg_price, reject_reason from weaver.orders where run_id = $1 order by ordinal`,
        [runId ?? null],
      ),
    async order(runId) {
      const orders = await world.orders(runId)
      if (orders.length !== 1) throw new Error(`${orders.length} orders: ${JSON.stringify(orders)}`)
      return orders[0] as OrderLine
    },
    async outcome(runId = newest() ?? undefined) {
      const { client_order_id, symbol, status, filled_qty: filled } = await world.order(runId)
      const fills = await query<{ fill: string }>(
        `select trim_scale(qty) || '@' || trim_scale(price) as fill from weaver.fills where run_id = $1 order by ordinal`,
        [runId],
      )
      const [position] = await query<{ qty: string }>(
        'select trim_scale(qty)::text as qty from weaver.positions where run_id = $1 and symbol = $2',
        [runId, symbol],
      )
      const events = await query<{ type: string }>(
        `select type from weaver.outbox where type like 'orders.%' and payload #>> '{payload,client_order_id}' = $1 order by id`,
        [client_order_id],
      )
      const posted = emulator.received.filter(
        ({ method, body }) => method === 'POST' && (body as OrderLine | null)?.client_order_id === client_order_id,
      )
      const taken = control.book.orders.filter((order) => order.client_order_id === client_order_id)
      return {
        ...{ status, filled, fills: fills.map(({ fill }) => fill) },
        held: [
          position?.qty ?? '0',
          control.book
            .position(symbol)
            .minus(before.held.get(symbol) ?? 0)
            .toString(),
        ],
        sent: [posted.length, taken.length],
        events: events.map(({ type }) => type.replace('orders.', '')),
        paused: await paused(),
      }
    },
    async account() {
      const [row] = await query<{ state: string; state_reason: string | null }>(
        `select state, state_reason from weaver.accounts where exchange = 'alpaca' and mode = $1`,
        [mode],
      )
      return row ?? { state: 'none', state_reason: null }
    },
    findings: async () => (await told()).slice(before.findings).map((found) => found.class),
    async close() {
      await opened.close()
      await emulator.close()
    },
  }
  const name = { exchange: 'alpaca', mode }
  async function paused(): Promise<string[]> {
    const rows = await query<{ symbol: string }>(
      `select symbol from weaver.account_positions where exchange = 'alpaca' and paused_reason is not null order by symbol`,
    )
    return rows.map(({ symbol }) => symbol)
  }
  return world
}

const CORR = { corrId: '0f0e0d0c-0b0a-4908-8706-050403020100' }
