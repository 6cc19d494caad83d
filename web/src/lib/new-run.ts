/** The new-backtest form as data: what is asked for, and the request it becomes. */
import { errorsByField, type FormField, readForm } from './schema-form.ts'
import { type Dataset, type Run, type RunCreate, TIMEFRAME_MS, type Timeframe } from './types.ts'

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

export interface NewRunForm {
  strategyId: string
  symbols: string
  timeframe: Timeframe
  /** As the browser's datetime fields give them, in UTC: `2026-01-01T00:00`. */
  start: string
  end: string
  cash: string
  label: string
  preset: string
  /** Empty text keeps the preset's value. */
  fill: Record<string, string>
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

export function readNewRun(form: NewRunForm, fields: FormField[]): { body: RunCreate; errors: Record<string, string> } {
  const { values, errors: paramErrors } = readForm(fields, form.params)
  const errors: Record<string, string> = {}
  for (const [name, message] of Object.entries(paramErrors)) errors[`config.${name}`] = message
  const symbols = symbolsOf(form.symbols)
  if (form.strategyId === '') errors.strategy_id = 'Choose a strategy.'
  if (symbols.length === 0) errors.symbols = 'Name at least one symbol.'
  if (form.start === '') errors.start_time = 'Required.'
  if (form.end === '') errors.end_time = 'Required.'
  if (form.start !== '' && form.end !== '' && form.start > form.end) errors.end_time = 'Must not be before the start.'
  if (!DECIMAL.test(form.cash.trim())) errors.initial_cash = 'Enter an amount, for example 100000.'
  const fill: Record<string, unknown> = { preset: form.preset }
  for (const { key } of FILL_NUMBERS) {
    const text = (form.fill[key] ?? '').trim()
    if (text === '') continue
    if (DECIMAL.test(text)) fill[key] = text
    else errors[`fill.${key}`] = 'Enter a number of 0 or more.'
  }
  const body: RunCreate = {
    strategy_id: form.strategyId,
    mode: 'backtest',
    symbols,
    timeframe: form.timeframe,
    start_time: toIso(form.start),
    end_time: toIso(form.end),
    config: values,
    initial_cash: form.cash.trim(),
    fill,
  }
  if (form.label.trim() !== '') body.label = form.label.trim()
  return { body, errors }
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

/** The form of an existing run, to run it again with changes. */
export function formOf(run: Run, fields: FormField[]): NewRunForm {
  const text = (value: unknown) => (typeof value === 'number' || typeof value === 'string' ? String(value) : '')
  return {
    strategyId: run.strategy_id,
    symbols: run.symbols.join(', '),
    timeframe: run.timeframe,
    start: run.start_time ? toLocalField(run.start_time) : '',
    end: run.end_time ? toLocalField(run.end_time) : '',
    cash: run.initial_cash ?? '100000',
    label: run.label ?? '',
    preset: text(run.fill?.preset) || 'weaver',
    fill: Object.fromEntries(FILL_NUMBERS.map(({ key }) => [key, text(run.fill?.[key])])),
    params: Object.fromEntries(
      fields.map((field) => {
        const value = run.config[field.name]
        return [
          field.name,
          value === undefined ? field.initial : typeof value === 'object' ? JSON.stringify(value) : String(value),
        ]
      }),
    ),
  }
}
