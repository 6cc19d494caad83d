/** Keys of the other kind of account, paper at the live host and live at the paper host, and keys that are just wrong. */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import type { TradingMode } from '../../jobs/veda/venue.ts'
import { type Emulator, startEmulator } from '../support/alpaca/emulator.ts'
import { openPaperWorld, type PaperWorld } from '../support/paper_world.ts'
import { until } from '../support/until.ts'

vi.setConfig({ testTimeout: 60_000, hookTimeout: 60_000 })

const START = Date.UTC(2025, 2, 3, 14, 0, 30)
const HINT = ': keys of paper accounts work at the paper host only, live ones at the live host'
const wordsOf = (what: string) => `Alpaca, ${what}: 403 forbidden.${HINT}`
const LIMITS = { max_order_notional: 1_000_000, max_daily_loss: 1_000_000 }

let paper: PaperWorld | undefined
const venues: Partial<Record<TradingMode, Emulator>> = {}
beforeAll(async () => {
  const now = () => paper?.time.now() ?? START
  const [forPaper, forLive] = await Promise.all([
    startEmulator({ mode: 'paper', now, ghostMs: 0 }),
    startEmulator({ mode: 'live', now, ghostMs: 0 }),
  ])
  Object.assign(venues, { paper: forPaper, live: forLive })
  const env = {
    ...{ ...forLive.env, ...forPaper.env },
    ...{ ALPACA_PAPER_API_KEY: forLive.key, ALPACA_LIVE_API_KEY: forPaper.key },
  }
  paper = await openPaperWorld(env)
})
afterAll(async () => {
  await paper?.close()
  await Promise.all(Object.values(venues).map((emulator) => emulator.close()))
})

test.each(['paper', 'live'] as const)(
  'keys of the other kind at the %s host: the run ends in the venue’s words, nothing is sent, the account is refused',
  async (mode) => {
    const world = paper as PaperWorld
    const emulator = venues[mode] as Emulator
    const { id } = await world.start({
      ...{ strategy_id: 'buy_and_hold', mode, exchange: 'alpaca', symbols: ['BTC/USD'], config: { qty: '1' } },
      ...(mode === 'live' && { risk: LIMITS }),
    })
    const run = await until('the run to end', async () => {
      await world.pass(1_000)
      const found = await world.run(id)
      return found.status === 'running' ? null : found
    })
    expect([run.status, run.error?.message]).toEqual(['error', `alpaca (${mode}): ${wordsOf('account')}`])
    // Its keeper gives the stream a quarter of a minute before it asks without it.
    const account = await until('the account to be found out', async () => {
      await world.pass(1_000)
      const [found] = await world.query<{ state: string; state_reason: string }>(
        `select state, state_reason from weaver.accounts where exchange = 'alpaca' and mode = $1`,
        [mode],
      )
      return found?.state === 'unknown' ? null : found
    })
    const [first, second] = [wordsOf('account'), wordsOf('crypto assets')]
    expect([
      { state: 'refused', state_reason: first },
      { state: 'refused', state_reason: second },
    ]).toContainEqual(account)
    expect([emulator.count('POST', /./), emulator.count('DELETE', /./)]).toEqual([0, 0])
    const [told] = await world.query<{ count: number }>(
      `select count(*)::int from weaver.outbox where type = 'account.Updated'
        and payload #>> '{payload,mode}' = $1 and payload #>> '{payload,state}' = 'refused'`,
      [mode],
    )
    expect(told?.count).toBe(1)
  },
)
