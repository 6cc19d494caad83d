/** Metrics of paper and live trading: accounts, orders on their way, windows, the market, halts. */
import type { accountHealth, recentUpdates } from '../../db/walle/queries/accounts.ts'
import type { activeHalts } from '../../db/walle/queries/halts.ts'
import type { recentSends, unsettledSends } from '../../db/walle/queries/live_orders.ts'
import type { marketHealth, recentWindows } from '../../db/walle/queries/market.ts'
import { type Answer, counter, type Family, gauge, QUANTILES, RECENT_MINUTES } from './metric_family.ts'

export function accountFamilies(accounts: Answer<typeof accountHealth>): Family[] {
  const each = (value: (account: (typeof accounts)[number]) => number | null) =>
    accounts.flatMap((account) => {
      const { exchange, mode } = account
      const found = value(account)
      return found === null ? [] : [{ labels: { exchange, mode }, value: found }]
    })
  return [
    gauge(
      'weaver_account_state',
      'The state that the account is in: orders leave only while it is ready',
      accounts.map(({ exchange, mode, state }) => ({ labels: { exchange, mode, state }, value: 1 })),
    ),
    gauge(
      'weaver_account_stream_up',
      '1: updates of orders are pushed; 0: they are not; missing: the venue has no stream',
      each(({ stream }) => (stream === 'none' || stream === null ? null : Number(stream === 'up'))),
    ),
    gauge(
      'weaver_account_reconciled_seconds',
      'Since the account was last compared with its venue',
      each(({ reconciledSeconds }) => reconciledSeconds),
    ),
    gauge(
      'weaver_account_paused_symbols',
      'Symbols in which no order leaves because the venue holds what no order explains',
      each(({ pausedSymbols }) => pausedSymbols.length),
    ),
  ]
}

export function updateFamilies(counts: Answer<typeof recentUpdates>): Family[] {
  const samples = counts.map(({ exchange, mode, source, count }) => ({
    labels: { exchange, mode, source },
    value: count,
  }))
  return [
    gauge('weaver_venue_updates_recent', `What venues said of orders in the last ${RECENT_MINUTES} minutes`, samples),
  ]
}

export function marketFamilies(accounts: Answer<typeof marketHealth>): Family[] {
  const labels = ({ exchange, mode }: (typeof accounts)[number]) => ({ exchange, mode })
  return [
    gauge(
      'weaver_market_mark_oldest_seconds',
      'Age of the newest price of a symbol that a running run holds, where it is oldest',
      accounts.flatMap((one) =>
        one.oldestSeconds === null ? [] : [{ labels: labels(one), value: one.oldestSeconds }],
      ),
    ),
    counter(
      'weaver_market_events_dropped_total',
      'Events of the market that were left out because the log was behind, or could not be written',
      accounts.map((one) => ({ labels: labels(one), value: one.dropped })),
    ),
  ]
}

export function windowFamilies(windows: Answer<typeof recentWindows>): Family[] {
  const each = (value: (one: (typeof windows)[number]) => number) =>
    windows.map((one) => ({ labels: { exchange: one.exchange }, value: value(one) }))
  return [
    gauge(
      'weaver_windows_recent',
      `Ticks of paper and live runs that got their windows in the last ${RECENT_MINUTES} minutes`,
      each(({ count }) => count),
    ),
    gauge(
      'weaver_window_in_hand_recent_seconds',
      `From a boundary until its bars were there: median, 95th percentile, longest of the last ${RECENT_MINUTES} minutes`,
      windows.flatMap(({ exchange, inHand }) =>
        inHand.map((value, index) => ({ labels: { exchange, quantile: QUANTILES[index] as string }, value })),
      ),
    ),
    gauge(
      'weaver_windows_without_bar_recent',
      'Of those ticks, the ones that went on without a bar: nothing was traded, or it came too late',
      each(({ without }) => without),
    ),
    gauge(
      'weaver_late_bars_recent',
      'Bars that came after their tick had gone on without them',
      each(({ late }) => late),
    ),
  ]
}

export function orderFamilies(unsettled: Answer<typeof unsettledSends>, sends: Answer<typeof recentSends>): Family[] {
  const labels = ({ exchange, mode }: { exchange: string; mode: string }) => ({ exchange, mode })
  const latency = (value: (one: (typeof sends)[number]) => readonly (number | null)[]) =>
    sends.flatMap((one) =>
      value(one).flatMap((seconds, index) =>
        seconds === null ? [] : [{ labels: { ...labels(one), quantile: QUANTILES[index] as string }, value: seconds }],
      ),
    )
  return [
    gauge(
      'weaver_orders_unsettled',
      'Orders on their way; to_send: they wait, sent: the answer is awaited, unclear: nobody knows whether the venue has them',
      unsettled.map((one) => ({ labels: { ...labels(one), state: one.state }, value: one.count })),
    ),
    gauge(
      'weaver_orders_unsettled_oldest_seconds',
      'Since when the oldest of them has been wanted',
      unsettled.map((one) => ({ labels: { ...labels(one), state: one.state }, value: one.oldestSeconds })),
    ),
    gauge(
      'weaver_order_sent_recent_seconds',
      `From placed to sent: median, 95th percentile, longest of the orders of the last ${RECENT_MINUTES} minutes`,
      latency(({ sent }) => sent),
    ),
    gauge(
      'weaver_order_answered_recent_seconds',
      'From sent to the first word of the venue, of the same orders',
      latency(({ answered }) => answered),
    ),
  ]
}

export function haltFamilies(halts: Answer<typeof activeHalts>): Family[] {
  return [
    gauge(
      'weaver_halted',
      '1: the system is halted, nothing leaves but cancels',
      Number(halts.some(({ run_id }) => run_id === null)),
    ),
    gauge(
      'weaver_halted_runs',
      'Runs that are halted by a limit',
      halts.filter(({ run_id }) => run_id !== null).length,
    ),
  ]
}
