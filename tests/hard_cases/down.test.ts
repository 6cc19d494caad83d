/**
 * What happens at the venue while Weaver is down is known when it is up again. One outage for all: a run for each case has
 * an order resting when all that works is ended, and the venue goes on alone.
 */
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { type Outcome, openWeaverAtAlpaca, type WeaverAtAlpaca } from '../support/alpaca/weaver.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

type Control = WeaverAtAlpaca['emulator']['control']

const OPEN = ['Created', 'Submitted', 'Accepted']
const nothing: Partial<Outcome> = { filled: '0', fills: [], held: ['0', '0'] }
const CASES: [what: string, symbol: string, happens: (control: Control, id: string) => void, ends: Partial<Outcome>][] =
  [
    [
      'filled',
      'BTC/USD',
      ({ fill }, id) => fill(id, '10', '99'),
      { status: 'filled', filled: '10', fills: ['10@99'], held: ['9.975', '9.975'], events: [...OPEN, 'Filled'] },
    ],
    [
      'filled in two parts',
      'ETH/USD',
      ({ fill }, id) => {
        fill(id, '4', '99')
        fill(id, '6', '98')
      },
      {
        ...{ status: 'filled', filled: '10', fills: ['4@99', '6@98'], held: ['9.975', '9.975'] },
        events: [...OPEN, 'PartiallyFilled', 'Filled'],
      },
    ],
    [
      'cancelled after a part was filled',
      'BTC/USDT',
      ({ fill, cancelAtVenue }, id) => {
        fill(id, '4', '99')
        cancelAtVenue(id)
      },
      {
        ...{ status: 'cancelled', filled: '4', fills: ['4@99'], held: ['3.99', '3.99'] },
        events: [...OPEN, 'PartiallyFilled', 'Cancelled'],
      },
    ],
    [
      'expired',
      'AAPL',
      ({ expire }, id) => expire(id),
      { status: 'expired', ...nothing, events: [...OPEN, 'Expired'] },
    ],
    [
      'rejected',
      'SPY',
      ({ reject }, id) => reject(id),
      { status: 'rejected', ...nothing, events: [...OPEN, 'Rejected'] },
    ],
    [
      'replaced twice, filled in part before each, and then cancelled',
      'BRK.A',
      ({ replace, fill, cancelAtVenue }, id) => {
        fill(id, '2', '99')
        const second = replace(id, { qty: '8' })
        fill(second, '3', '98')
        const third = replace(second, { qty: '7' })
        fill(third, '4', '97')
        cancelAtVenue(third)
      },
      {
        ...{ status: 'cancelled', filled: '9', fills: ['2@99', '3@98', '4@97'], held: ['9', '9'] },
        events: [
          ...OPEN,
          ...['PartiallyFilled', 'Replaced', 'PartiallyFilled', 'Replaced', 'PartiallyFilled', 'Cancelled'],
        ],
      },
    ],
  ]

let at: WeaverAtAlpaca
const runs = new Map<string, string>()
beforeAll(async () => {
  at = await openWeaverAtAlpaca()
  // Equities tick in their sessions, and this one opens at half past two.
  await at.paper.leap(Date.UTC(2025, 2, 3, 14, 30, 30) - at.paper.time.now())
  for (const [what, symbol] of CASES) runs.set(what, (await at.trade({ symbol, time_in_force: 'gtc' })).id)
  for (const id of runs.values()) await at.reach('accepted', id)
  await at.paper.down()
  for (const [what, , happens] of CASES) {
    happens(at.emulator.control, (await at.order(runs.get(what))).client_order_id)
  }
  await at.paper.leap(90_000)
  await at.paper.up()
  await at.until('the account to be ready', async () => (await at.account()).state === 'ready')
  await at.settle()
})
afterAll(() => at.close())

test.each(CASES)('%s at the venue while Weaver was down', async (what, _symbol, _happens, ends) => {
  expect(await at.outcome(runs.get(what))).toEqual({ ...ends, sent: [1, 1], paused: [] })
})

test('the runs go on, and what was found is in one event of the account', async () => {
  for (const id of runs.values()) expect((await at.paper.run(id)).status).toBe('running')
  const findings = await at.findings()
  expect(findings.filter((one) => one === 'order_state').length).toBe(3)
  expect(findings).not.toContain('foreign_order')
})
