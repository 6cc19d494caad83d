/** Shapes of the REST API, taken from the schemas that the server validates with. Types only: no code comes along. */
import type { z } from 'zod'
import type * as accounts from '../../../api/schemas/accounts.ts'
import type * as halts from '../../../api/schemas/halts.ts'
import type * as jobs from '../../../api/schemas/jobs.ts'
import type * as market from '../../../api/schemas/market.ts'
import type * as orders from '../../../api/schemas/orders.ts'
import type * as parities from '../../../api/schemas/parity.ts'
import type * as reports from '../../../api/schemas/reports.ts'
import type * as runs from '../../../api/schemas/runs.ts'
import type * as system from '../../../api/schemas/system.ts'
import type * as values from '../../../api/schemas/values.ts'

export type Run = z.output<typeof runs.run>
export type RunStatus = Run['status']
export type RunMode = Run['mode']
export type RunCreate = z.input<ReturnType<typeof runs.runCreate>>
export type Report = z.output<typeof reports.report>
export type Band = z.output<typeof reports.band>
export type EquityPoint = z.output<typeof runs.equityPoint>
export type Fill = z.output<typeof runs.fill>
export type Trade = z.output<typeof runs.trade>
export type Order = z.output<typeof orders.order>
export type OrderTrace = z.output<typeof orders.orderTrace>
export type OrderStatus = Order['status']
export type ClonedRun = z.output<typeof runs.clonedRun>
export type Difference = ClonedRun['differences'][number]
export type Closing = z.output<typeof runs.closing>
export type RunStop = z.output<typeof runs.runStop>
export type Decision = z.output<typeof runs.decision>
export type Position = z.output<typeof runs.position>
export type TickSummary = z.output<typeof runs.tickSummary>
export type Account = z.output<typeof accounts.account>
export type AccountPosition = z.output<typeof accounts.accountPosition>
export type Alert = z.output<typeof system.alerts>['items'][number]
export type Halt = z.output<typeof halts.halt>
export type Halted = z.output<typeof halts.halted>
export type Job = z.output<typeof jobs.job>
export type JobState = Job['state']
export type JobAnswer = z.output<typeof jobs.jobAnswer>
export type Pauses = z.output<typeof jobs.pauses>
export type Dataset = z.output<typeof market.dataset>
export type CandleAnswer = z.output<typeof market.candles>
export type CandleFetch = z.output<typeof market.candleFetch>
export type ImportResult = z.output<typeof market.imported>
export type Parity = z.output<typeof parities.parity>
export type Info = z.output<typeof system.info>
export type RunEvent = z.output<typeof system.runEvent>
export type ApiErrorBody = z.output<typeof values.problem>

export interface Page<T> {
  items: T[]
  total: number
  page: number
  page_size: number
  total_is_estimate?: boolean | undefined
}

/** What is known of a JSON schema of parameters. */
export interface JsonSchema {
  type?: string | string[]
  title?: string
  description?: string
  default?: unknown
  enum?: unknown[]
  const?: unknown
  anyOf?: JsonSchema[]
  properties?: Record<string, JsonSchema>
  required?: string[]
  minimum?: number
  maximum?: number
  exclusiveMinimum?: number
  exclusiveMaximum?: number
  minLength?: number
  maxLength?: number
  pattern?: string
  items?: JsonSchema
}

type StrategyAnswer = z.output<typeof system.strategies>
export type Strategy = Omit<StrategyAnswer['items'][number], 'params_schema'> & { params_schema: JsonSchema }
export type Strategies = Omit<StrategyAnswer, 'items'> & { items: Strategy[] }

export const STATUSES = ['pending', 'running', 'stopped', 'completed', 'error'] as const satisfies readonly RunStatus[]
export const RUN_MODES = ['backtest', 'paper', 'live'] as const satisfies readonly RunMode[]
export const ORDER_STATUSES = [
  'pending',
  'submitted',
  'accepted',
  'partial',
  'filled',
  'cancelled',
  'rejected',
  'expired',
] as const satisfies readonly OrderStatus[]
const OPEN_STATUSES: readonly OrderStatus[] = ['pending', 'submitted', 'accepted', 'partial']
/** It may still fill. */
export const isOpenOrder = ({ status }: Pick<Order, 'status'>): boolean => OPEN_STATUSES.includes(status)
export const TIMEFRAMES = ['1m', '5m', '15m', '30m', '1h', '4h', '1d'] as const satisfies readonly Run['timeframe'][]
export type Timeframe = Run['timeframe']

/** Length of a bar in milliseconds. */
export const TIMEFRAME_MS: Readonly<Record<Timeframe, number>> = {
  '1m': 60_000,
  '5m': 300_000,
  '15m': 900_000,
  '30m': 1_800_000,
  '1h': 3_600_000,
  '4h': 14_400_000,
  '1d': 86_400_000,
}

/** Equity marked at bar closes, to be drawn; times are epoch milliseconds, drawdowns fractions of 0 or more. */
export interface Curve {
  time: number[]
  equity: number[]
  drawdown: number[]
}

/** Bars as columns; times are open times in epoch milliseconds. */
export interface Bars {
  bucketMs: number | null
  time: number[]
  open: number[]
  high: number[]
  low: number[]
  close: number[]
  volume: number[]
}
