/** What is attributed to a run is booked alike from the decision and from its event, and makes or loses no money by itself. */
import { randomUUID } from 'node:crypto'
import { expect, test } from 'vitest'
import type { LogEvent } from '../../db/events/envelope.ts'
import type { RunLedgerRow } from '../../db/walle/live_rows.ts'
import type { PositionRow, RunRow } from '../../db/walle/rows.ts'
import { aRun } from '../../tests/support/walle_rows.ts'
import { createLiveAccount } from '../live/account.ts'
import { createReplayAccount } from '../parity/account.ts'
import { type Attribution, attributed } from './attribution.ts'
import { Decimal } from './decimals.ts'
import { openTradesOf, type TradeMatcherState } from './trades.ts'

const run = {
  ...aRun(1, { mode: 'paper', exchange: 'sim', symbols: ['A'], initial_cash: '1000' }),
  ...{ open_corr_id: null, next_tick: 0 },
} as RunRow
const base = { symbol: 'A', by: 'person', detail: 'why' } as const
const transfer = (qty: string, price: string): Attribution => ({ ...base, how: 'transfer', qty, price })
const fee = (qty: string): Attribution => ({ ...base, how: 'fee', qty })
const split = (fresh: number, old: number): Attribution => ({ ...base, how: 'split', ratio: { fresh, old } })

function play(...steps: Attribution[]) {
  let ledger: RunLedgerRow = {
    ...{ run_id: run.id, cash: '1000', fees: '0', turnover: '0', next_order: 0, next_fill: 0 },
    ...{ trade_matcher: null, risk_watch: null, splits: null },
  }
  let held: PositionRow | null = null
  const again = createLiveAccount(run)
  const replay = createReplayAccount(run, ['A'])
  const trades = []
  for (const [n, step] of steps.entries()) {
    const made = {
      id: randomUUID(),
      attributionId: randomUUID(),
      corrId: randomUUID(),
      at: n,
      producer: 'veda' as const,
    }
    const one = attributed(run, ledger, held, step, made)
    ;({ ledger, position: held } = one)
    trades.push(...one.trades)
    const event = one.event as unknown as Extract<LogEvent, { type: 'account.PositionAttributed' }>
    again.hear(event, null)
    replay.attribute(event)
  }
  const { last_price, ...position } = held as unknown as PositionRow
  expect(again.positions()).toEqual([position])
  expect(again.takeTrades()).toEqual(trades)
  const { cash, fees } = ledger
  expect(replay.now()).toMatchObject({ cash, positions: [position] })
  // The same before and after everything: what was paid is what is held, what was won, and what went in fees.
  const cost = new Decimal(position.cost).times(new Decimal(position.qty).s)
  const all = new Decimal(cash).plus(cost).minus(position.realised_pnl).plus(fees)
  expect(all.toString()).toBe('1000')
  return { ledger, position, trades, open: ledger.trade_matcher as unknown as TradeMatcherState }
}

test('what comes to a run costs it its price, and what leaves it is a trade at that price', () => {
  const { ledger, position, trades } = play(transfer('10', '20'), transfer('-4', '25'))
  expect([ledger.cash, ledger.turnover, position.qty, position.cost]).toEqual(['900', '0', '6', '120'])
  expect(trades).toMatchObject([{ side: 'long', qty: '4', entry_price: '20', exit_price: '25', pnl: '20', fees: '0' }])
})

test('what was kept of a purchase is a fee of its lots, the youngest first, and costs no cash again', () => {
  const { ledger, position, open } = play(transfer('10', '20'), transfer('1', '31'), fee('2'))
  expect([ledger.cash, ledger.fees, position.qty]).toEqual(['769', '51', '9'])
  expect(open.books.A?.lots.map(({ qty, fee: paid }) => [qty, paid])).toEqual([['9', '51']])
  expect(openTradesOf(open)).toBe(1)
})

test('a split keeps what was paid, also where it does not divide evenly: lots are together what is held', () => {
  const { position, open } = play(transfer('1', '30'), transfer('1', '60'), split(1, 3))
  expect([position.qty, position.cost]).toEqual(['0.666666666667', '90'])
  const sum = open.books.A?.lots.reduce((all, { qty }) => all.plus(qty), new Decimal(0))
  expect([sum?.toString(), open.books.A?.lots.map(({ price }) => price)]).toEqual([position.qty, ['90', '180']])
  expect(play(transfer('-10', '20'), split(4, 1)).position).toMatchObject({ qty: '-40', cost: '200', avg_price: '5' })
})
