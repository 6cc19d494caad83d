/** `weaver fetch`: candles from an exchange. The job goes on in the workers; this only waits for it. */
import type { CandleFetchView } from '../../db/walle/queries/market.ts'
import { getCandleFetch } from '../../db/walle/queries/market.ts'
import type { Timeframe } from '../../strategies/api.ts'
import { openControl } from '../control.ts'
import type { CandleFetchRequest } from '../glados/candle_fetches.ts'
import { wallClock } from '../glados/clock.ts'
import { DomainError } from '../glados/errors.ts'
import { type CliContext, CliError, withSystem } from './context.ts'
import { timeOf } from './times.ts'

export interface FetchOptions {
  exchange?: string
  symbol: string
  timeframe: Timeframe
  start: string
  end?: string
  adjustment?: CandleFetchRequest['adjustment']
  json: boolean
}

const LOOK_MS = 200
/** Between two lines on how far it is. */
const NOTE_MS = 2_000

export async function fetchCommand(context: CliContext, options: FetchOptions): Promise<number> {
  const zone = context.config.timezone
  const { exchange, symbol, timeframe, adjustment } = options
  const start = timeOf('--start', options.start, zone)
  const end = options.end === undefined ? undefined : timeOf('--end', options.end, zone)
  return withSystem(context, 'fetch', async (system) => {
    const control = await openControl(system, { workers: 'unless running' })
    try {
      const begun = await control.commands.fetchCandles({ exchange, symbol, timeframe, start, end, adjustment })
      const ended = await follow(context, begun, (id) => getCandleFetch(system.db.reader, id))
      if (options.json) context.print(JSON.stringify(ended))
      else context.print(summaryOf(ended))
      return ended.status === 'completed' ? 0 : 1
    } catch (error) {
      if (error instanceof DomainError) throw new CliError(error.message)
      throw error
    } finally {
      await control.close()
    }
  })
}

async function follow(
  { note }: CliContext,
  begun: CandleFetchView,
  read: (id: string) => Promise<CandleFetchView | null>,
): Promise<CandleFetchView> {
  let notedAt = wallClock.now()
  for (let row = begun; ; row = (await read(begun.id)) ?? row) {
    if (row.status !== 'running') return row
    if (wallClock.now() - notedAt >= NOTE_MS) {
      notedAt = wallClock.now()
      note(`${percentOf(row)} %, ${row.stored} stored${row.error === null ? '' : `; waits: ${row.error}`}`)
    }
    await wallClock.sleep(LOOK_MS)
  }
}

function percentOf({ start_time, end_time, next_time }: CandleFetchView): number {
  const [start, end, next] = [start_time, end_time, next_time].map((time) => Date.parse(time)) as [
    number,
    number,
    number,
  ]
  return end <= start ? 0 : Math.min(100, Math.floor(((next - start) / (end - start)) * 100))
}

function summaryOf(row: CandleFetchView): string {
  const { symbol, timeframe, exchange, feed, adjustment, stored, revised, unchanged, start_time, end_time } = row
  const counts = `${stored} stored, ${revised} revised, ${unchanged} unchanged`
  if (row.status === 'cancelled') return `${symbol} ${timeframe}: cancelled; ${counts} until then`
  if (row.status === 'error') return `${symbol} ${timeframe} from ${exchange}: ${row.error}; ${counts} until then`
  return `${symbol} ${timeframe} from ${exchange} (feed ${feed}, adjustment ${adjustment}): ${counts}, ${start_time} to ${end_time}`
}
