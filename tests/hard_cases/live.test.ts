/** The same with real money's mode: another host, other keys, and limits that it needs. The code is the same. */
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import { openWeaverAtAlpaca, type WeaverAtAlpaca } from '../support/alpaca/weaver.ts'

vi.setConfig({ testTimeout: 120_000, hookTimeout: 120_000 })

let at: WeaverAtAlpaca
beforeAll(async () => {
  at = await openWeaverAtAlpaca('live')
})
afterEach(() => at.reset())
afterAll(() => at.close())

const FILLED = { status: 'filled', filled: '10', fills: ['10@100'], held: ['9.975', '9.975'], paused: [] }
const LIVED = ['Created', 'Submitted', 'Accepted', 'Filled']

test('live: nothing goes wrong, and account and position agree', async () => {
  at.emulator.control.autoFill(true)
  const run = await at.trade()
  expect([run.mode, run.exchange]).toEqual(['live', 'alpaca'])
  await at.ends('filled')
  expect(await at.outcome()).toEqual({ ...FILLED, sent: [1, 1], events: LIVED })
  expect(await at.account()).toEqual({ state: 'ready', state_reason: null })
})

test('live: a submit that was taken in and answered by 504 is found, and not sent again', async () => {
  at.emulator.control.faults.next('POST', '/v2/orders', 'accept_then_504')
  await at.trade()
  await at.reach('accepted')
  at.emulator.control.autoFill(true)
  await at.ends('filled')
  expect(await at.outcome()).toEqual({ ...FILLED, sent: [1, 1], events: LIVED })
})

test('live: credentials that are revoked with an order open, and good ones: the fill is there, and nothing was sent twice', async () => {
  const id = await at.resting()
  const { control } = at.emulator
  control.revokeKeys()
  await at.until('the account to be refused', async () => (await at.account()).state === 'refused')
  control.fill(id, '10', '100')
  control.restoreKeys()
  await at.ends('filled')
  expect(await at.outcome()).toEqual({ ...FILLED, sent: [1, 1], events: LIVED })
})

test('live: a run without a limit on its orders and its day is refused', async () => {
  const { commands } = at.paper.weaver.control
  const request = {
    ...{ strategy_id: 'asks', exchange: 'alpaca', symbols: ['BTC/USD'] },
    ...{ mode: 'live' as const, timeframe: '1m' as const },
  }
  const corr = { corrId: '0f0e0d0c-0b0a-4908-8706-050403020100' }
  await expect(commands.createRun(request, corr)).rejects.toThrow('a live run needs max_order_notional')
  const risk = { max_order_notional: 5 }
  await expect(commands.createRun({ ...request, risk }, corr)).rejects.toThrow('a live run needs max_daily_loss')
})
