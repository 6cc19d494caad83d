/** `weaver events`: the log, one event a line, in the order that every consumer sees. */
import type { Reader } from '../../db/database.ts'
import { SEQUENCED } from '../../db/events/append.ts'
import { type EventFilter, head, isReadable, type LogRow, readLog } from '../../db/events/read.ts'
import { EVENTS, type EventType } from '../../db/events/registry.ts'
import { createSequencer, type Sequencer } from '../../db/events/sequencer.ts'
import { SSE_NAMES } from '../../db/events/sse_names.ts'
import { isUuid } from '../../db/walle/queries/page.ts'
import { summariesOf } from '../../db/walle/queries/trace.ts'
import { wallClock } from '../glados/clock.ts'
import type { System } from '../system.ts'
import { type CliContext, CliError, withSystem } from './context.ts'

export interface EventsOptions {
  run?: string
  types?: string[]
  after?: string
  follow: boolean
  json: boolean
}

const PAGE = 500
/** A notification is only a hint: the log is read at least this often. */
const POLL_MS = 1_000

export async function eventsCommand(context: CliContext, options: EventsOptions): Promise<number> {
  const filter = filterOf(options)
  const given = afterOf(options.after)
  return withSystem(context, 'events', async (system) => {
    const { reader } = system.db
    // Without workers nobody else numbers what was written last.
    const sequencer = createSequencer({
      db: system.db,
      sleep: wallClock.sleep,
      onError: (error) => system.log.error({ err: error }, 'sequencer'),
    })
    await sequencer.runOnce()
    let place = given ?? (options.follow ? await head(reader) : -1)
    const readOn = async () => {
      for (;;) {
        const rows = await readLog(reader, place, PAGE, filter)
        await show(context, reader, rows, options.json)
        place = rows.at(-1)?.seq ?? place
        if (rows.length < PAGE) return
      }
    }
    if (options.follow) await follow(system, sequencer, readOn)
    else await readOn()
    return 0
  })
}

/** Until Ctrl-C. */
async function follow({ db }: System, sequencer: Sequencer, readOn: () => Promise<void>): Promise<void> {
  let stopped = false
  let woken = Promise.withResolvers<void>()
  const wake = () => woken.resolve()
  const stop = () => {
    stopped = true
    wake()
  }
  for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, stop)
  const listener = await db.listen(SEQUENCED, { onNotify: wake, onReady: wake })
  sequencer.start()
  try {
    while (!stopped) {
      woken = Promise.withResolvers<void>()
      await readOn()
      if (!stopped) await Promise.race([woken.promise, wallClock.sleep(POLL_MS)])
    }
  } finally {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.removeListener(signal, stop)
    await listener.close()
    await sequencer.stop()
  }
}

async function show(context: CliContext, reader: Reader, rows: readonly LogRow[], json: boolean): Promise<void> {
  const readable = rows.filter(isReadable)
  const words = json ? [] : await summariesOf(reader, readable)
  let next = 0
  for (const row of rows) {
    if (!isReadable(row)) {
      context.note(`weaver: seq ${row.seq}: ${row.type} ${row.id ?? 'without id'} cannot be read: ${row.problem}`)
      continue
    }
    const { seq, envelope } = row
    if (json) context.print(JSON.stringify({ seq, ...envelope }))
    else {
      const { ts, type, run_id } = envelope
      const run = run_id === null ? '-'.padEnd(8) : run_id.slice(0, 8)
      context.print(`${String(seq).padStart(8)}  ${ts}  ${run}  ${type.padEnd(24)}  ${words[next++] ?? ''}`)
    }
  }
}

function filterOf({ run, types }: EventsOptions): EventFilter {
  if (run !== undefined && !isUuid(run)) throw new CliError(`--run ${run.slice(0, 100)} is not a run's id`, 2)
  const known = types?.flatMap(typesOf)
  return { ...(run === undefined ? {} : { runId: run }), ...(known === undefined ? {} : { types: known }) }
}

/** A type, a namespace, or a name of the event stream. */
function typesOf(text: string): EventType[] {
  const all = Object.keys(EVENTS) as EventType[]
  const found = all.filter((type) => type === text || type.startsWith(`${text}.`) || SSE_NAMES[type] === text)
  if (found.length > 0) return found
  const spaces = [...new Set(all.map((type) => type.split('.')[0]))].join(', ')
  throw new CliError(`--types ${text.slice(0, 100)} is no type of event; there are ${spaces} and what is below them`, 2)
}

function afterOf(text: string | undefined): number | null {
  if (text === undefined) return null
  if (/^(-1|\d{1,15})$/.test(text)) return Number(text)
  throw new CliError(`--after ${text.slice(0, 100)} is no place in the log: give a seq, or -1 for the start`, 2)
}
