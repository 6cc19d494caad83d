/** The new-run form as data: what is asked for, and the request it becomes. */
import { errorsByField, type FormField, initialTexts, readForm } from './schema-form.ts'
import {
  type Dataset,
  type Info,
  type Run,
  type RunCreate,
  type RunMode,
  TIMEFRAME_MS,
  type Timeframe,
} from './types.ts'

export interface FillNumber {
  key: string
  label: string
  hint: string
}

/** Numbers of the fill model that are asked for; the rest keep their preset's values. */
export const FILL_NUMBERS: readonly FillNumber[] = [
  { key: 'slippage_bps', label: 'Slippage (bps)', hint: 'Against you, on market and stop fills.' },
  { key: 'commission_bps', label: 'Commission (bps)', hint: 'Of the value of each fill.' },
  { key: 'commission_per_share', label: 'Commission per share', hint: 'In the quote currency.' },
  { key: 'commission_min', label: 'Least commission', hint: 'Per order, in the quote currency.' },
]

export const PRESETS = [
  { id: 'weaver', label: 'Weaver' },
  { id: 'backtrader', label: 'backtrader' },
  { id: 'backtesting_py', label: 'backtesting.py' },
] as const

export const COMMISSIONS = [
  { id: 'flat', label: 'The numbers below' },
  { id: 'alpaca_crypto', label: "Alpaca's schedule for crypto" },
] as const
/** What a schedule takes the place of. */
const FLAT_ONLY = ['commission_bps', 'commission_per_share', 'commission_min']

export interface RiskLimit {
  key: string
  label: string
  hint: string
}

/** All that there are; the installation's hold besides. */
export const RISK_LIMITS: readonly RiskLimit[] = [
  { key: 'max_order_notional', label: 'Largest order', hint: 'Quantity times price, in the quote currency.' },
  {
    key: 'max_daily_loss',
    label: 'Largest loss a day',
    hint: 'Below the equity of 00:00 UTC. Breaking it halts the run.',
  },
  {
    key: 'max_drawdown',
    label: 'Largest drawdown',
    hint: 'Fraction of the highest equity, such as 0.2. Halts the run.',
  },
  {
    key: 'max_position',
    label: 'Largest position',
    hint: 'Units of a symbol, long or short, if all open orders filled.',
  },
  { key: 'max_open_orders', label: 'Most open orders', hint: 'At a time, attached exits aside.' },
  { key: 'max_orders_per_minute', label: 'Most orders a minute', hint: 'Within any sixty seconds.' },
  { key: 'price_collar_bps', label: 'Price collar (bps)', hint: 'Most that a price may lie from the last close.' },
]
export const ALLOW_LIST = 'symbol_allow_list'
/** Without these a live run is refused. */
export const LIVE_NEEDS: readonly string[] = ['max_order_notional', 'max_daily_loss']

export const DEFAULT_BAR_WAIT_MS = 5_000
export const MISSED_TICKS = [
  { id: 'skip', label: 'Skip them' },
  { id: 'catch_up', label: 'Catch up, oldest first' },
] as const

export interface NewRunForm {
  strategyId: string
  mode: RunMode
  symbols: string
  timeframe: Timeframe
  /** Of a backtest, as the browser's datetime fields give them, in UTC: `2026-01-01T00:00`. */
  start: string
  end: string
  cash: string
  label: string
  /** Of a backtest. */
  preset: string
  commission: string
  /** Empty text keeps the preset's value. */
  fill: Record<string, string>
  /** Of a paper or live run. */
  exchange: string
  missedTicks: 'skip' | 'catch_up'
  barWait: string
  /** By limit; the allow-list as symbols are typed. */
  risk: Record<string, string>
  params: Record<string, string>
}

export const toLocalField = (iso: string) => new Date(iso).toISOString().slice(0, 16)
const toIso = (text: string) => (text === '' ? '' : new Date(`${text}Z`).toISOString())

const DECIMAL = /^\d+(\.\d+)?$/

/** Symbols as typed, separated by commas or spaces. */
export const symbolsOf = (text: string) => [...new Set(text.split(/[\s,]+/).filter((symbol) => symbol !== ''))]

/** When one more bar of the data set would open: a range to there takes in its last bar, which closes then. */
export const closeOf = (set: Dataset) => new Date(Date.parse(set.end) + TIMEFRAME_MS[set.timeframe]).toISOString()

/** The range that all of the symbols have stored, last bar's close included, or null. */
export function commonRange(datasets: Dataset[], symbols: string[], timeframe: Timeframe) {
  const found = symbols.map((symbol) => datasets.find((set) => set.symbol === symbol && set.timeframe === timeframe))
  if (found.length === 0 || found.some((set) => set === undefined)) return null
  const sets = found.filter((set) => set !== undefined)
  const start = Math.max(...sets.map((set) => Date.parse(set.start)))
  const end = Math.min(...sets.map((set) => Date.parse(closeOf(set))))
  return start <= end ? { start: new Date(start).toISOString(), end: new Date(end).toISOString() } : null
}

type Errors = Record<string, string>

export function readNewRun(form: NewRunForm, fields: FormField[]): { body: RunCreate; errors: Errors } {
  const { values, errors: paramErrors } = readForm(fields, form.params)
  const errors: Errors = {}
  for (const [name, message] of Object.entries(paramErrors)) errors[`config.${name}`] = message
  const symbols = symbolsOf(form.symbols)
  if (form.strategyId === '') errors.strategy_id = 'Choose a strategy.'
  if (symbols.length === 0) errors.symbols = 'Name at least one symbol.'
  if (!DECIMAL.test(form.cash.trim())) errors.initial_cash = 'Enter an amount, for example 100000.'
  const risk = readRisk(form.risk, errors)
  const body: RunCreate = {
    strategy_id: form.strategyId,
    mode: form.mode,
    symbols,
    timeframe: form.timeframe,
    ...(form.mode === 'backtest' ? readBacktest(form, errors) : readTrading(form, errors)),
    config: values,
    initial_cash: form.cash.trim(),
  }
  if (Object.keys(risk).length > 0) body.risk = risk
  if (form.label.trim() !== '') body.label = form.label.trim()
  return { body, errors }
}

function readBacktest(form: NewRunForm, errors: Errors): Partial<RunCreate> {
  if (form.start === '') errors.start_time = 'Required.'
  if (form.end === '') errors.end_time = 'Required.'
  if (form.start !== '' && form.end !== '' && form.start > form.end) errors.end_time = 'Must not be before the start.'
  const fill: Record<string, unknown> = { preset: form.preset }
  const scheduled = form.commission !== 'flat'
  if (scheduled) fill.commission = form.commission
  for (const { key } of FILL_NUMBERS) {
    const text = (form.fill[key] ?? '').trim()
    if (text === '' || (scheduled && FLAT_ONLY.includes(key))) continue
    if (DECIMAL.test(text)) fill[key] = text
    else errors[`fill.${key}`] = 'Enter a number of 0 or more.'
  }
  return { start_time: toIso(form.start), end_time: toIso(form.end), fill }
}

function readTrading(form: NewRunForm, errors: Errors): Partial<RunCreate> {
  if (form.exchange === '') errors.exchange = 'Choose an exchange.'
  const wait = form.barWait.trim()
  if (wait !== '' && !/^\d{1,5}$/.test(wait)) errors.bar_wait = 'Enter whole milliseconds, 60000 at most.'
  return {
    exchange: form.exchange,
    missed_ticks: form.missedTicks,
    ...(wait !== '' && { bar_wait: Number(wait) }),
  }
}

function readRisk(texts: Record<string, string>, errors: Errors): Record<string, unknown> {
  const risk: Record<string, unknown> = {}
  for (const { key } of RISK_LIMITS) {
    const text = (texts[key] ?? '').trim()
    if (text === '') continue
    if (DECIMAL.test(text) && Number(text) > 0) risk[key] = text
    else errors[`risk.${key}`] = 'Enter a number above 0, or leave it empty.'
  }
  const allowed = symbolsOf(texts[ALLOW_LIST] ?? '')
  if (allowed.length > 0) risk[ALLOW_LIST] = allowed
  return risk
}

/** The same as changes of an existing run: a clone keeps what it is not told, so that what was emptied is told too. */
export function cloneOf(source: Run, body: RunCreate, fields: FormField[]): Partial<RunCreate> {
  const emptied = [...RISK_LIMITS.map(({ key }) => key), ALLOW_LIST].filter(
    (key) => source.own_risk[key] != null && body.risk?.[key] === undefined,
  )
  const risk = { ...body.risk, ...Object.fromEntries(emptied.map((key) => [key, null])) }
  const config = { ...readForm(fields, initialTexts(fields)).values, ...body.config }
  const changes: Partial<RunCreate> = { ...body, config, risk, label: body.label ?? '' }
  if (body.fill) {
    const numbers = Object.fromEntries(FILL_NUMBERS.map(({ key }) => [key, '0']))
    changes.fill = { commission: 'flat', ...numbers, ...body.fill }
  }
  if (body.mode !== 'backtest') changes.bar_wait = body.bar_wait ?? DEFAULT_BAR_WAIT_MS
  return changes
}

type Trading = Info['trading'][number]

/** Exchanges that have the mode, those with credentials first and the simulator last, as GLaDOS chooses. */
export function exchangesFor(info: Pick<Info, 'trading'>, mode: RunMode): (Trading & { ready: boolean })[] {
  const place = (one: Trading) => (one.configured.includes(mode) ? 0 : 2) + (one.exchange === 'sim' ? 1 : 0)
  return info.trading
    .filter(({ modes }) => modes.includes(mode))
    .toSorted((a, b) => place(a) - place(b))
    .map((one) => ({ ...one, ready: one.configured.includes(mode) }))
}

/** An error of the server at the field that is shown for it: `symbols.0` is told at `symbols`. */
export function placeErrors(details: unknown, shown: string[]): Record<string, string> {
  const placed: Record<string, string> = {}
  for (const [path, message] of Object.entries(errorsByField(details))) {
    const field = shown.find((name) => path === name || path.startsWith(`${name}.`))
    placed[field ?? path] = message
  }
  return placed
}

/** The form of an existing run, to run it again with changes, or in another mode. */
export function formOf(run: Run, fields: FormField[], mode: RunMode, exchange: string): NewRunForm {
  const text = (value: unknown) => (typeof value === 'number' || typeof value === 'string' ? String(value) : '')
  const [start, end] = [run.start_time ?? run.started_at, run.end_time ?? run.stopped_at]
  const allowed = run.own_risk[ALLOW_LIST]
  return {
    strategyId: run.strategy_id,
    mode,
    symbols: run.symbols.join(', '),
    timeframe: run.timeframe,
    start: start ? toLocalField(start) : '',
    end: end ? toLocalField(end) : '',
    cash: run.initial_cash,
    label: run.label ?? '',
    preset: text(run.fill.preset) || 'weaver',
    commission: text(run.fill.commission) || 'flat',
    fill: Object.fromEntries(FILL_NUMBERS.map(({ key }) => [key, text(run.fill[key])])),
    exchange: mode === run.mode && run.exchange ? run.exchange : exchange,
    missedTicks: run.missed_ticks,
    barWait: text(run.bar_wait_ms),
    risk: {
      ...Object.fromEntries(RISK_LIMITS.map(({ key }) => [key, text(run.own_risk[key])])),
      [ALLOW_LIST]: Array.isArray(allowed) ? allowed.join(', ') : '',
    },
    params: initialTexts(fields, run.config),
  }
}
