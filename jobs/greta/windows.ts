/**
 * The windows that a strategy sees. Each column is a small array of its own into which the closed bars are copied when
 * it is asked for: it never holds a bar that is not closed, and what a strategy writes into it is gone at the next look.
 */
import type { CandleColumns } from '../../db/walle/rows.ts'
import { type CandleWindow, type FetchRequest, TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import type { SymbolBars } from './simulation.ts'
import { closedAt } from './ticks.ts'

type Column = keyof CandleColumns

/** A window of the newest `bars` closed bars over the columns of one symbol and timeframe. */
export interface ServedWindow extends CandleWindow {
  /** Shows the bars before index `end` from now on. Gives the window itself. */
  serve(end: number): CandleWindow
}

export function createWindow(columns: CandleColumns, bars: number): ServedWindow {
  return new ScratchWindow(columns, bars)
}

class ScratchWindow implements ServedWindow {
  readonly #columns: CandleColumns
  readonly #bars: number
  #length = 0
  #end = 0
  #served = { time: false, open: false, high: false, low: false, close: false, volume: false }
  readonly #scratch: Record<Column, Float64Array>

  constructor(columns: CandleColumns, bars: number) {
    this.#columns = columns
    this.#bars = bars
    const empty = new Float64Array(0)
    this.#scratch = { time: empty, open: empty, high: empty, low: empty, close: empty, volume: empty }
  }

  serve(end: number): CandleWindow {
    this.#end = end
    this.#length = Math.min(end, this.#bars)
    const served = this.#served
    served.time = served.open = served.high = served.low = served.close = served.volume = false
    return this
  }

  get length(): number {
    return this.#length
  }
  get time(): Float64Array {
    return this.#column('time')
  }
  get open(): Float64Array {
    return this.#column('open')
  }
  get high(): Float64Array {
    return this.#column('high')
  }
  get low(): Float64Array {
    return this.#column('low')
  }
  get close(): Float64Array {
    return this.#column('close')
  }
  get volume(): Float64Array {
    return this.#column('volume')
  }

  #column(name: Column): Float64Array {
    let scratch = this.#scratch[name]
    if (this.#served[name]) return scratch
    const length = this.#length
    if (scratch.length !== length) {
      scratch = new Float64Array(length)
      this.#scratch[name] = scratch
    }
    const source = this.#columns[name]
    const start = this.#end - length
    for (let index = 0; index < length; index++) scratch[index] = source[start + index] as number
    this.#served[name] = true
    return scratch
  }
}

/** The windows of a run: its own per symbol, and what its strategy fetched at this tick. */
export interface Windows {
  /** A new tick began: what was fetched at the last one is gone. */
  tick(): void
  /** True when every symbol has that many closed bars. */
  ready(bars: number): boolean
  /** What is told of as fetched: the strategy's own window per symbol where it is due (`bars` > 0), then its requests. */
  requested(requests: readonly FetchRequest[], bars: number): FetchRequest[]
  /** Makes fetched windows visible until the next tick. */
  fetched(requests: readonly FetchRequest[]): void
  /** Throws where nothing was asked for. */
  get(symbol: string, timeframe: Timeframe): CandleWindow
}

export interface WindowsOptions {
  symbols: readonly string[]
  timeframe: Timeframe
  bars: readonly SymbolBars[]
  windowBars: number
  /** The present tick. */
  now: () => number
  /** Stored bars of a symbol and timeframe that the run could see, all of them; only those closed are ever shown. */
  load: (symbol: string, timeframe: Timeframe) => CandleColumns
}

export function noWindow(
  asked: Pick<FetchRequest, 'symbol' | 'timeframe'>,
  { symbols, timeframe }: { symbols: readonly string[]; timeframe: Timeframe },
): Error {
  return new Error(
    `No window of ${asked.symbol} ${asked.timeframe}: the run has ${symbols.join(', ')} in ${timeframe}; ask for more with ctx.fetch in onTick`,
  )
}

export function createWindows(options: WindowsOptions): Windows {
  const { symbols, timeframe, bars } = options
  const own = bars.map((one) => createWindow(one.columns, options.windowBars))
  const cached = new Map<string, ServedWindow>()
  const extra = new Map<string, { window: ServedWindow; end: number }>()
  const columnsOf = new Map<string, CandleColumns>()

  const load = (symbol: string, frame: Timeframe): CandleColumns => {
    const key = `${symbol} ${frame}`
    const known = columnsOf.get(key) ?? options.load(symbol, frame)
    columnsOf.set(key, known)
    return known
  }

  return {
    tick() {
      if (extra.size > 0) extra.clear()
    },
    ready(wanted) {
      for (let symbol = 0; symbol < bars.length; symbol++) {
        if ((bars[symbol] as SymbolBars).closed < wanted) return false
      }
      return true
    },
    requested(requests, wanted) {
      const due = wanted > 0 ? symbols.map((symbol) => ({ symbol, timeframe, bars: wanted })) : []
      return [...due, ...requests]
    },
    fetched(requests) {
      for (const request of requests) {
        const key = `${request.symbol} ${request.timeframe} ${request.bars}`
        const columns = load(request.symbol, request.timeframe)
        const window = cached.get(key) ?? createWindow(columns, request.bars)
        cached.set(key, window)
        const end = closedAt(columns, TIMEFRAME_MS[request.timeframe], options.now())
        extra.set(`${request.symbol} ${request.timeframe}`, { window, end })
      }
    },
    get(symbol, frame) {
      if (extra.size > 0) {
        const fetched = extra.get(`${symbol} ${frame}`)
        if (fetched) return fetched.window.serve(fetched.end)
      }
      const index = symbols.length === 1 && symbols[0] === symbol ? 0 : symbols.indexOf(symbol)
      if (frame !== timeframe || index < 0) {
        throw noWindow({ symbol, timeframe: frame }, options)
      }
      return (own[index] as ServedWindow).serve((bars[index] as SymbolBars).closed)
    },
  }
}
