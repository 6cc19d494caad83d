/** Weaver's own jobs, keepers and clock, all of them, trading at the emulated Alpaca in a time that the test moves. */
import type { RunRow } from '../../../db/walle/rows.ts'
import { openPaperWorld, type PaperWorld } from '../paper_world.ts'
import { pause, until } from '../until.ts'
import { type Emulator, startEmulator } from './emulator.ts'

export interface WeaverAtAlpaca {
  paper: PaperWorld
  emulator: Emulator
  /** One order at its first tick. */
  buyAndHold(symbol?: string, qty?: string): Promise<RunRow>
  /** Moves time until it is so. */
  until<T>(what: string, condition: () => Promise<T | null | undefined | false>): Promise<T>
  /** Stops what runs, and lets the venue behave; the counts begin anew. */
  reset(): Promise<void>
  /** The run's orders, as Weaver has them; the newest run's. */
  orders(): Promise<OrderLine[]>
  order(): Promise<OrderLine>
  fills(): Promise<{ qty: string; price: string }[]>
  account(): Promise<{ state: string; state_reason: string | null }>
  paused(): Promise<string[]>
  /** Orders that arrived at the venue, whatever became of their answers. */
  posts(): number
  /** Orders that the venue took in. */
  taken(): number
  close(): Promise<void>
}

export interface OrderLine {
  client_order_id: string
  exchange_order_id: string | null
  status: string
  filled_qty: string
  filled_avg_price: string | null
  reject_reason: string | null
}

/** Before Weaver's own clock is there. */
const START = Date.UTC(2025, 2, 3, 14, 0, 30)
const STEP_MS = 5_000
const DEADLINE_MS = 60_000

export async function openWeaverAtAlpaca(): Promise<WeaverAtAlpaca> {
  let paper: PaperWorld | null = null
  const now = () => paper?.time.now() ?? START
  const emulator = await startEmulator({ now, ghostMs: 0, rateLimit: 100_000 })
  const { market, setPrice } = emulator.control
  for (const symbol of ['BTC/USD', 'AAPL']) {
    market.serve(symbol, '1Min', 60_000, (t) => ({ t, o: 100, h: 101, l: 99, c: 100, v: 10, n: 2 }))
    setPrice(symbol, '100')
  }
  const opened = await openPaperWorld(emulator.env)
  paper = opened
  const { query } = opened
  let run: RunRow | null = null
  const before = { posts: 0, taken: 0 }
  const counted = () => ({
    posts: emulator.count('POST', '/v2/orders'),
    taken: emulator.control.book.orders.length,
  })
  const world: WeaverAtAlpaca = {
    paper: opened,
    emulator,
    async buyAndHold(symbol = 'BTC/USD', qty = '10') {
      const config = { qty }
      run = await opened.start({ strategy_id: 'buy_and_hold', exchange: 'alpaca', symbols: [symbol], config })
      return run
    },
    async reset() {
      const { control } = emulator
      control.faults.clear()
      control.updates.drop(0)
      control.updates.release()
      control.keepCancels(false)
      control.autoFill(false)
      control.setCash('100000')
      control.book.strangeActivityIds = false
      if (run !== null && (await opened.run(run.id)).status === 'running') await opened.stop(run.id)
      run = null
      Object.assign(before, counted())
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
    orders: () =>
      query<OrderLine>(
        `select client_order_id, exchange_order_id, status, trim_scale(filled_qty)::text as filled_qty,
          trim_scale(filled_avg_price)::text as filled_avg_price, reject_reason from weaver.orders where run_id = $1 order by id`,
        [run?.id ?? null],
      ),
    async order() {
      const orders = await world.orders()
      if (orders.length !== 1) throw new Error(`${orders.length} orders: ${JSON.stringify(orders)}`)
      return orders[0] as OrderLine
    },
    fills: () =>
      query(
        `select trim_scale(qty)::text as qty, trim_scale(price)::text as price from weaver.fills
        where run_id = $1 order by id`,
        [run?.id ?? null],
      ),
    async account() {
      const [row] = await query<{ state: string; state_reason: string | null }>(
        `select state, state_reason from weaver.accounts where exchange = 'alpaca'`,
      )
      return row ?? { state: 'none', state_reason: null }
    },
    async paused() {
      const rows = await query<{ symbol: string }>(
        `select symbol from weaver.account_positions where exchange = 'alpaca' and paused_reason is not null`,
      )
      return rows.map(({ symbol }) => symbol)
    },
    posts: () => counted().posts - before.posts,
    taken: () => counted().taken - before.taken,
    async close() {
      await opened.close()
      await emulator.close()
    },
  }
  return world
}
