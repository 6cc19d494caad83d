/**
 * What Weaver has to do while it is hurt, as its users would: through the API, patiently. A load is an object with these
 * three verbs; another kind of work (batches) is another such object in `openLoads`.
 */
import { columnsOf } from '../../db/walle/candle_columns.ts'
import { generateCandles, mulberry32 } from '../../db/walle/generate.ts'
import { record } from '../../db/walle/record.ts'
import type { CandleText } from '../../db/walle/rows.ts'
import type { FillRequest } from '../../jobs/greta/fill_model.ts'
import { type Json, type StrategyDefinition, TIMEFRAME_MS, type Timeframe } from '../../strategies/api.ts'
import bollingerLimit from '../../strategies/bollinger_limit/index.ts'
import bracketSma from '../../strategies/bracket_sma/index.ts'
import rsiReversion from '../../strategies/rsi_reversion/index.ts'
import smaCross from '../../strategies/sma_cross/index.ts'
import { playPure } from '../support/pure_run.ts'
import { hashOf } from '../support/seeded.ts'
import { pause } from '../support/until.ts'
import { ask, type Http } from './http.ts'
import { createPaperRuns } from './paper_load.ts'
import { createReaders } from './readers.ts'
import type { World } from './world.ts'

export interface Load {
  name: string
  start(): void
  /** No new work; resolves when what is under way has ended, and rejects when it never will. */
  drain(): Promise<void>
  /** What is wrong with what it was given, beyond the invariants of the database. */
  check(): Promise<string[]>
  /** For the report, such as `31 runs`. */
  summary(): string
}

interface Recipe {
  strategy: StrategyDefinition
  symbol: string
  timeframe: Timeframe
  bars: number
  config: Record<string, Json>
  fill?: FillRequest
  audit?: 'summary' | 'acted' | 'full'
  driver?: 'chunk' | 'chain'
}

const START = Date.UTC(2024, 0, 1)
const POLL_MS = 100
/** Before somebody asks again for what was refused. */
const REFUSED_MS = 1_000

const as = (definition: unknown) => definition as StrategyDefinition
const chunk = { symbol: 'CHAOS/USD', timeframe: '1m', driver: 'chunk' } as const
/** Long enough for several chunks each; their events fill the log in three measures. */
const CHUNK_RECIPES: readonly Recipe[] = [
  { ...chunk, strategy: as(bollingerLimit), bars: 30_000, config: {}, audit: 'summary' },
  { ...chunk, strategy: as(bracketSma), bars: 15_000, config: { fast: 3, slow: 9 }, audit: 'acted' },
  { ...chunk, strategy: as(smaCross), bars: 2_000, config: { fast: 3, slow: 9 }, audit: 'full' },
  { ...chunk, strategy: as(rsiReversion), bars: 30_000, config: { period: 5 }, audit: 'summary' },
]
const hops = { symbol: 'CHAIN/USD', timeframe: '1h', driver: 'chain', audit: 'full' } as const
const CHAIN_RECIPES: readonly Recipe[] = [
  { ...hops, strategy: as(bracketSma), bars: 40, config: { fast: 2, slow: 4, qty: '2' } },
  { ...hops, strategy: as(smaCross), bars: 40, config: { fast: 2, slow: 5 }, fill: { commission_bps: '10' } },
]

function candlesOf(symbol: string, timeframe: Timeframe, bars: number): CandleText[] {
  const seed = symbol.length
  return generateCandles({ timeframe, start: START, bars, seed, startPrice: 100, volatility: 0.004 })
}

const knownHashes = new Map<Recipe, string>()

/** What an undisturbed run of it comes to, played in memory. */
function expectedHash(recipe: Recipe): string {
  const known = knownHashes.get(recipe)
  if (known !== undefined) return known
  const { strategy, symbol, timeframe, bars, config, fill } = recipe
  const columns = columnsOf(candlesOf(symbol, timeframe, bars))
  const played = playPure({
    strategy,
    params: config,
    columns,
    symbol,
    timeframe,
    cash: '100000',
    ...(fill && { fill }),
  })
  const hash = hashOf(played)
  knownHashes.set(recipe, hash)
  return hash
}

async function storeCandles(world: World, recipes: readonly Recipe[]): Promise<void> {
  for (const symbol of new Set(recipes.map((recipe) => recipe.symbol))) {
    const own = recipes.filter((recipe) => recipe.symbol === symbol)
    const timeframe = own[0]?.timeframe as Timeframe
    const candles = candlesOf(symbol, timeframe, Math.max(...own.map((recipe) => recipe.bars)))
    await world.db.write((tx) =>
      record(tx, { writes: [{ kind: 'store_candles', symbol, timeframe, candles }], events: [] }),
    )
  }
}

interface Seen {
  started: number
  problems: string[]
}

/** One place for runs, in which one follows the other. */
async function keepRunning(http: Http, recipes: readonly Recipe[], seed: number, seen: Seen, stopped: () => boolean) {
  const random = mulberry32(seed)
  while (!stopped()) {
    const recipe = recipes[Math.floor(random() * recipes.length)] as Recipe
    const { strategy, bars, ...rest } = recipe
    const { symbol, ...request } = rest
    const end = START + bars * TIMEFRAME_MS[recipe.timeframe]
    const created = await http.until('POST', '/runs', {
      ...request,
      strategy_id: strategy.id,
      mode: 'backtest',
      symbols: [symbol],
      start_time: new Date(START).toISOString(),
      end_time: new Date(end).toISOString(),
    })
    if (created.status !== 201) {
      seen.problems.push(`a run was refused: ${created.status} ${JSON.stringify(created.body)}`)
      await pause(REFUSED_MS)
      continue
    }
    const id = String(created.body.id)
    const started = await http.until('POST', `/runs/${id}/start`, {})
    // It was started although nobody heard of it.
    const wasStarted = started.status === 409 && started.body.code === 'RUN_NOT_STARTABLE'
    if (started.status !== 200 && !wasStarted) {
      seen.problems.push(`run ${id} was not started: ${started.status} ${JSON.stringify(started.body)}`)
      continue
    }
    seen.started += 1
    const run = await endOf(http, id)
    const expected = expectedHash(recipe)
    if (run.status !== 'completed' || run.result_hash !== expected) {
      const what = JSON.stringify({ status: run.status, hash: run.result_hash, error: run.error })
      seen.problems.push(`run ${id} of ${strategy.id} (${recipe.driver}, ${recipe.audit}): ${what}, not ${expected}`)
    }
  }
}

async function endOf(http: Http, id: string): Promise<Record<string, unknown>> {
  for (;;) {
    const { status, body } = await http.until('GET', `/runs/${id}`)
    if (status !== 200) return { status: `http ${status}`, error: body }
    if (body.status !== 'running') return body
    await pause(POLL_MS)
  }
}

async function createBacktests(world: World, seed: number): Promise<Load> {
  await storeCandles(world, [...CHUNK_RECIPES, ...CHAIN_RECIPES])
  const http = ask(world.apiUrl, world.over)
  const seen: Seen = { started: 0, problems: [] }
  let stopped = false
  let round = 0
  let places: Promise<void>[] = []
  return {
    name: 'backtests',
    start() {
      stopped = false
      round += 1
      places = [CHUNK_RECIPES, CHUNK_RECIPES, CHAIN_RECIPES].map((recipes, place) =>
        keepRunning(http, recipes, seed * 1_000 + round * 10 + place, seen, () => stopped),
      )
      for (const place of places) place.catch(() => {})
    },
    async drain() {
      stopped = true
      await Promise.all(places)
    },
    check: async () => seen.problems,
    summary: () => `${seen.started} runs`,
  }
}

const IMPORTED = { symbol: 'IMPORT/USD', timeframe: '1m' } as const
const IMPORT_BARS = 300
const IMPORT_PAUSE_MS = 1_500

/** Files that overlap and revise one another; at the end each bar is what the last file said. */
function createImports(world: World, seed: number): Load {
  const http = ask(world.apiUrl, world.over)
  const random = mulberry32(seed)
  const closes = new Map<number, string>()
  const problems: string[] = []
  let files = 0
  let stopped = false
  let running = Promise.resolve()
  const importOne = async () => {
    const start = START + Math.floor(random() * 1_000) * TIMEFRAME_MS['1m']
    const settings = { timeframe: '1m', bars: IMPORT_BARS, startPrice: 50, volatility: 0.01 } as const
    const candles = generateCandles({ ...settings, start, seed: Math.floor(random() * 1e6) })
    const rows = candles.map((bar) => [bar.time, bar.open, bar.high, bar.low, bar.close, bar.volume].join(','))
    const text = ['timestamp,open,high,low,close,volume', ...rows].join('\n')
    const path = `/candles/import?symbol=${encodeURIComponent(IMPORTED.symbol)}&timeframe=${IMPORTED.timeframe}`
    const { status, body } = await http.until('POST', path, text)
    if (status !== 200 || body.rows_read !== IMPORT_BARS) problems.push(`import: ${status} ${JSON.stringify(body)}`)
    for (const bar of candles) closes.set(bar.time, bar.close)
    files += 1
  }
  return {
    name: 'imports',
    start() {
      stopped = false
      const keepImporting = async () => {
        while (!stopped) {
          await importOne()
          await pause(IMPORT_PAUSE_MS)
        }
      }
      running = keepImporting()
      running.catch(() => {})
    },
    async drain() {
      stopped = true
      await running
    },
    async check() {
      const stored = await world.db.reader.query<{ time: number; close: string }>(
        `select (extract(epoch from "timestamp") * 1000)::float8 as time, trim_scale(close)::text as close
         from weaver.candles where symbol = $1 order by 1`,
        [IMPORTED.symbol],
      )
      const wrong = stored.filter(({ time, close }) => closes.get(time) !== close)
      const lost = closes.size - stored.length
      if (lost !== 0) problems.push(`${closes.size} bars were imported, ${stored.length} are stored`)
      if (wrong.length > 0) problems.push(`${wrong.length} bars are not what was imported last`)
      return problems
    },
    summary: () => `${files} files of candles`,
  }
}

export async function openLoads(world: World, seed: number): Promise<Load[]> {
  return [
    await createBacktests(world, seed),
    createImports(world, seed),
    createPaperRuns(world, seed),
    createReaders(world),
  ]
}
