/** The command line: what there is, what it takes, and the exit codes: 0 done, 1 failed, 2 bad usage. */
import { inspect } from 'node:util'
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander'
import { redact } from '../../db/secrets.ts'
import { ADJUSTMENTS } from '../../db/walle/import/adjustment.ts'
import { JOB_STATES } from '../../db/walle/queries/jobs.ts'
import { ORDER_STATUSES, TIMEFRAMES } from '../../strategies/api.ts'
import { ConfigError, loadConfig, loadConfigAnyway } from '../config/config.ts'
import { FILL_PRESETS } from '../greta/fill_model.ts'
import { VERSION } from '../version.ts'
import type { AccountsOptions, AttributeOptions } from './accounts.ts'
import type { BacktestOptions } from './backtest.ts'
import type { CloseCommandOptions } from './close.ts'
import type { ConsumersOptions } from './consumers.ts'
import { type CliContext, CliError, createContext } from './context.ts'
import type { EventsOptions } from './events.ts'
import type { FetchOptions } from './fetch.ts'
import type { HaltOptions } from './halt.ts'
import type { ImportOptions } from './import.ts'
import type { JobsOptions } from './jobs.ts'
import type { OrdersOptions } from './orders.ts'
import type { RebuildOptions } from './rebuild.ts'
import type { ReplayOptions } from './replay.ts'
import type { RunsOptions } from './runs.ts'
import type { StopCommandOptions } from './stop.ts'
import { addStrategyCommands } from './strategy_commands.ts'
import type { TraceOptions } from './trace.ts'

const USAGE = 2

/** Runs one command line and gives the exit code. */
export async function runCli(args: string[]): Promise<number> {
  let exitCode = 0
  const program = createProgram(
    (work) =>
      async (...given) => {
        const context = createContext(loadConfig(process.env, { envFile: '.env' }))
        exitCode = await work(context, ...given)
      },
    async (options) => {
      const { config, problems } = loadConfigAnyway(process.env, { envFile: '.env' })
      const { haltCommand } = await import('./halt.ts')
      exitCode = await haltCommand(createContext(config), options, problems)
    },
  )
  try {
    // `deno task weaver -- COMMAND` passes the dashes on, where npm takes them away.
    await program.parseAsync(args[0] === '--' ? args.slice(1) : args, { from: 'user' })
    return exitCode
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : USAGE
    if (error instanceof ConfigError || error instanceof CliError) {
      complain(`weaver: ${error.message}`)
      return error instanceof CliError ? error.exitCode : 1
    }
    complain(`weaver: ${error instanceof Error ? error.message : String(error)}`)
    if (process.env.WEAVER_LOG_LEVEL === 'debug' && error instanceof Error) complain(String(error.stack))
    return 1
  }
}

function complain(text: string): void {
  process.stderr.write(`${redact(text)}\n`)
}

/** The runtime would print what nobody caught, with all that hangs on it. */
export function endOnUncaught(): void {
  process.on('uncaughtException', (error) => {
    complain(`weaver: ending because of an error that nobody caught: ${inspect(error)}`)
    process.exit(1)
  })
}

type Wrap = <Given extends unknown[]>(
  work: (context: CliContext, ...given: Given) => Promise<number>,
) => (...given: Given) => Promise<void>

/** The kill switch needs no more of the configuration than it can have: what a running Weaver never read must not stop it. */
type Halting = (options: HaltOptions) => Promise<void>

/** Collects `k=v` given several times. Values stay text: the schema that they are for reads them. */
function keyValue(text: string, before: Record<string, string> = {}): Record<string, string> {
  const at = text.indexOf('=')
  if (at < 1) throw new InvalidArgumentError('must have the form name=value.')
  return { ...before, [text.slice(0, at)]: text.slice(at + 1) }
}

const list = (text: string, before: string[] = []): string[] => [
  ...before,
  ...text.split(',').filter((one) => one !== ''),
]

const timeframe = () =>
  new Option('-t, --timeframe <timeframe>', 'length of a bar').choices(TIMEFRAMES).makeOptionMandatory()

function createProgram(wrap: Wrap, halting: Halting): Command {
  const program = new Command('weaver')
  program
    .description('Weaver: strategies in TypeScript, run against history, on Postgres.')
    .version(VERSION)
    .exitOverride()
    .showHelpAfterError('(weaver COMMAND --help tells what it takes)')

  processes(program, wrap)
  candles(program, wrap)
  program
    .command('backtest')
    .description('run a strategy over stored candles and print the report')
    .argument('<strategy>', 'a strategy id, see /strategies')
    .requiredOption('-s, --symbol <symbol>', 'a symbol; may be given several times', list)
    .addOption(timeframe())
    .option('--start <time>', 'ISO 8601; default the first stored bar')
    .option('--end <time>', 'ISO 8601; default the last stored bar')
    .option('-p, --param <name=value>', 'a parameter of the strategy', keyValue)
    .option('-f, --fill <name=value>', `fill model: preset (${FILL_PRESETS.join(', ')}) and its numbers`, keyValue)
    .option('--cash <amount>', 'initial cash')
    .option('--seed <number>', 'seed of ctx.random()')
    .option('--label <text>', 'a name for the run')
    .addOption(new Option('--audit <level>', 'events in the log').choices(['summary', 'acted', 'full']))
    .addOption(new Option('--driver <driver>', 'in chunks, or hop by hop').choices(['chunk', 'chain']))
    .option('--band', 'play it again under other fill assumptions, and give the range of results', false)
    .option('--html <file>', 'write a report to read and to print, one file')
    .option('--json', 'one JSON object {run, stats, fills, result_hash} on stdout', false)
    .action(
      wrap(async (context, id: string, options: BacktestOptions) =>
        (await import('./backtest.ts')).backtestCommand(context, id, options),
      ),
    )
  program
    .command('runs')
    .description('the newest runs')
    .addOption(new Option('--status <status>').choices(['pending', 'running', 'stopped', 'completed', 'error']))
    .option('--limit <n>', 'how many, 1 to 100', '20')
    .option('--json', 'as JSON', false)
    .action(wrap(async (context, options: RunsOptions) => (await import('./runs.ts')).runsCommand(context, options)))
  lookingBack(program, wrap)
  stopping(program, wrap, halting)
  steering(program, wrap)
  program
    .command('doctor')
    .description('check configuration, database, strategies and disk, and say what to do')
    .action(wrap(async (context) => (await import('./doctor.ts')).doctorCommand(context)))
  accounts(program, wrap)
  consumers(program, wrap)
  program
    .command('notify')
    .description('messages to people and programs outside')
    .command('test')
    .description('send one on every channel that is set, and say what came of it')
    .action(wrap(async (context) => (await import('./notify.ts')).notifyTestCommand(context)))
  addStrategyCommands(program, wrap, { keyValue, list, timeframe })
  return program
}

/** The ways to end what trades: a run, or everything. */
function stopping(program: Command, wrap: Wrap, halting: Halting): void {
  program
    .command('stop')
    .description('stop a run, and wait until it has stopped; one that has ended stays as it is')
    .argument('<run>', 'its id')
    .option('--close-positions', 'sell, or cover, at the market what a paper or live run holds', false)
    .option('--keep-orders', 'leave its open orders at the exchange', false)
    .action(
      wrap(async (context, id: string, options: StopCommandOptions) =>
        (await import('./stop.ts')).stopCommand(context, id, options),
      ),
    )
  program
    .command('close')
    .description(
      'sell, or cover, at the market what a paper or live run holds, also one that has ended, and wait for it',
    )
    .argument('<run>', 'its id')
    .option('-s, --symbol <symbol>', 'only this; default all that it holds')
    .action(
      wrap(async (context, id: string, options: CloseCommandOptions) =>
        (await import('./close.ts')).closeCommand(context, id, options),
      ),
    )
  program
    .command('halt')
    .description(
      'the kill switch: no order leaves but cancels, and every open order is cancelled; also without Postgres',
    )
    .option('--reason <text>', 'for the record')
    .option('--drill', 'prove on a paper account that it works, and resume', false)
    .option('--exchange <name>', 'of the drill', 'sim')
    .option('--symbol <symbol>', 'of the drill; default SIM/USD at sim, else BTC/USD')
    .option('--anyway', 'a drill also with live runs, or with open orders, which are cancelled', false)
    .action(halting)
  program
    .command('resume')
    .description('end the halt of the system, or of a run that broke a limit')
    .argument('[run]', 'its id; without one the system')
    .action(wrap(async (context, id?: string) => (await import('./halt.ts')).resumeCommand(context, id)))
}

/** Orders and jobs, and the way to retry, cancel and pause. */
function steering(program: Command, wrap: Wrap): void {
  program
    .command('orders')
    .description('the newest orders')
    .option('--run <id>', 'of one run')
    .addOption(new Option('--status <status>').choices(ORDER_STATUSES))
    .option('-s, --symbol <symbol>')
    .option('--limit <n>', 'how many, 1 to 100', '20')
    .option('--json', 'as JSON', false)
    .action(
      wrap(async (context, options: OrdersOptions) => (await import('./orders.ts')).ordersCommand(context, options)),
    )
  program
    .command('cancel')
    .description('cancel one order of a paper or live run')
    .argument('<order>', 'its id')
    .action(wrap(async (context, id: string) => (await import('./orders.ts')).cancelOrderCommand(context, id)))
  const jobs = program
    .command('jobs')
    .description('the jobs that there are, and dead ones; with --state also those that have ended')
    .addOption(new Option('--state <state>').choices(JOB_STATES))
    .option('--task <name>', 'such as greta.run_chunk')
    .option('--run <id>', 'of one run')
    .option('--limit <n>', 'how many, 1 to 100', '20')
    .option('--json', 'as JSON', false)
    .action(wrap(async (context, options: JobsOptions) => (await import('./jobs.ts')).jobsCommand(context, options)))
  jobs
    .command('retry')
    .description('try a dead job again; a run that ended because of it goes on from its checkpoint')
    .argument('<id>', 'of the job')
    .action(wrap(async (context, id: string) => (await import('./jobs.ts')).retryCommand(context, id)))
  jobs
    .command('cancel')
    .description('take a job out of the queue, also while it runs, and stop its run; discard a dead one')
    .argument('<id>', 'of the job')
    .action(wrap(async (context, id: string) => (await import('./jobs.ts')).cancelCommand(context, id)))
  jobs
    .command('pause')
    .description('let the jobs of a task or a queue wait; those under way go on')
    .argument('<name>', 'a task, such as greta.run_chunk, or a queue, such as run:<run id>')
    .action(wrap(async (context, name: string) => (await import('./jobs.ts')).pauseCommand(context, name)))
  jobs
    .command('resume')
    .description('let them go on, in their old order')
    .argument('<name>', 'as it was paused')
    .action(wrap(async (context, name: string) => (await import('./jobs.ts')).resumeCommand(context, name)))
}

/** What strategies are run on. */
function candles(program: Command, wrap: Wrap): void {
  program
    .command('import')
    .description('candles from a CSV or Parquet file')
    .argument('<file>', 'header timestamp,open,high,low,close,volume[,trade_count]')
    .requiredOption('-s, --symbol <symbol>', 'for example BTC/USD or AAPL')
    .addOption(timeframe())
    .option('--strict', 'store nothing when any row is bad', false)
    .addOption(
      new Option('--adjustment <kind>', 'for which corporate actions prices were changed').choices(ADJUSTMENTS),
    )
    .option('--feed <name>', 'where the candles come from, such as iex or sip')
    .action(
      wrap(async (context, file: string, options: ImportOptions) =>
        (await import('./import.ts')).importCommand(context, file, options),
      ),
    )
  program
    .command('fetch')
    .description('candles from an exchange')
    .requiredOption('-s, --symbol <symbol>', 'for example BTC/USD or AAPL')
    .addOption(timeframe())
    .requiredOption('--start <time>', 'ISO 8601')
    .option('--end <time>', 'ISO 8601; default now')
    .option('--exchange <name>', 'where several are configured')
    .addOption(
      new Option(
        '--adjustment <kind>',
        'of equities: for which corporate actions prices are changed; default split',
      ).choices(['raw', 'split', 'all']),
    )
    .option('--json', 'as one JSON object', false)
    .action(wrap(async (context, options: FetchOptions) => (await import('./fetch.ts')).fetchCommand(context, options)))
}

type Five = [exchange: string, mode: string, symbol: string, runId: string, qty: string]

/** What there is at exchanges, and the word of a person on a difference. */
function accounts(program: Command, wrap: Wrap): void {
  const parent = program
    .command('accounts')
    .description('accounts at exchanges: their state, their money, what they hold and whose it is')
    .option('--json', 'as JSON', false)
    .action(
      wrap(async (context, options: AccountsOptions) =>
        (await import('./accounts.ts')).accountsCommand(context, options),
      ),
    )
  const named = (command: Command) =>
    command.argument('<exchange>', 'such as alpaca or sim').argument('<mode>', 'paper or live')
  named(parent.command('reconcile').description('compare it with its venue now')).action(
    wrap(async (context, exchange: string, mode: string) =>
      (await import('./accounts.ts')).reconcileCommand(context, exchange, mode),
    ),
  )
  named(parent.command('accept').description("take what the venue holds beyond the runs' positions as nobody's"))
    .argument('<symbol>', 'which goes on then')
    .action(
      wrap(async (context, exchange: string, mode: string, symbol: string) =>
        (await import('./accounts.ts')).acceptCommand(context, exchange, mode, symbol),
      ),
    )
  named(
    parent.command('attribute').description('take a quantity from a run, or give it one, that no order of it traded'),
  )
    .argument('<symbol>', 'of which')
    .argument('<run>', 'its id')
    .argument('<qty>', 'such as -10: it leaves the run')
    .option('--price <price>', 'at which it was traded; without it what the run has paid on average')
    .action(
      wrap(async (context, ...[exchange, mode, symbol, runId, qty, options]: [...Five, AttributeOptions]) =>
        (await import('./accounts.ts')).attributeCommand(context, { exchange, mode, symbol, runId, qty }, options),
      ),
    )
  named(parent.command('split').description('apply a split to what all runs hold of a symbol, at the same cost'))
    .argument('<symbol>', 'which the finding names')
    .argument('<ratio>', 'new for old, such as 4:1')
    .action(
      wrap(async (context, exchange: string, mode: string, symbol: string, ratio: string) =>
        (await import('./accounts.ts')).splitCommand(context, { exchange, mode, symbol, ratio }),
      ),
    )
}

/** Who reads the log, and the way out for one that is stuck. */
function consumers(program: Command, wrap: Wrap): void {
  const parent = program
    .command('consumers')
    .description('who reads the log, how far each is and whether it works')
    .option('--json', 'as JSON', false)
    .action(
      wrap(async (context, options: ConsumersOptions) =>
        (await import('./consumers.ts')).consumersCommand(context, options),
      ),
    )
  parent
    .command('skip')
    .description('leave out the one event that a consumer cannot get past; it is recorded')
    .argument('<id>', 'of the consumer')
    .argument('<seq>', 'of the event, as `weaver consumers` tells it')
    .requiredOption('--reason <text>', 'why')
    .action(
      wrap(async (context, id: string, seq: string, options: { reason: string }) =>
        (await import('./consumers.ts')).skipCommand(context, id, seq, options),
      ),
    )
  parent
    .command('rewind')
    .description('after a restore: back to the end of the log, for a consumer that is ahead of it')
    .argument('<id>', 'of the consumer')
    .action(wrap(async (context, id: string) => (await import('./consumers.ts')).rewindCommand(context, id)))
  parent
    .command('remove')
    .description('forget a consumer that no version runs any more')
    .argument('<id>', 'of the consumer')
    .action(wrap(async (context, id: string) => (await import('./consumers.ts')).removeCommand(context, id)))
}

/** What runs Weaver. */
function processes(program: Command, wrap: Wrap): void {
  program
    .command('start')
    .description('everything in one: Postgres, workers, API and web page')
    .action(wrap(async (context) => (await import('./start.ts')).start(context, { workers: true })))
  program
    .command('api')
    .description('only the API and the web page')
    .action(wrap(async (context) => (await import('./start.ts')).start(context, { workers: false })))
  program
    .command('worker')
    .description('only workers, for another machine on the same Postgres')
    .action(wrap(async (context) => (await import('./workers.ts')).workerCommand(context)))
  program
    .command('work', { hidden: true })
    .description('what `start` and `worker` keep running')
    .action(wrap(async (context) => (await import('./workers.ts')).workCommand(context)))
  program
    .command('migrate')
    .description('bring the database to this version')
    .action(wrap(async (context) => (await import('./migrate.ts')).migrateCommand(context)))
}

/** What has happened, from the log. */
function lookingBack(program: Command, wrap: Wrap): void {
  program
    .command('trace')
    .description('how an order came about and what became of it, hop by hop')
    .argument('<order>', 'its id or client_order_id')
    .option('--json', 'as JSON', false)
    .action(
      wrap(async (context, order: string, options: TraceOptions) =>
        (await import('./trace.ts')).traceCommand(context, order, options),
      ),
    )
  program
    .command('replay')
    .description('plays a paper or live run again from what it recorded, and says what differs')
    .argument('<run>', 'its id')
    .option('--tolerance-bps <bps>', 'how far a fill may lie from the fill model’s; default 10')
    .option('--json', 'as JSON', false)
    .action(
      wrap(async (context, run: string, options: ReplayOptions) =>
        (await import('./replay.ts')).replayCommand(context, run, options),
      ),
    )
  program
    .command('events')
    .description('the events of the log, one a line')
    .option('--run <id>', 'of one run')
    .option('--types <types>', 'such as orders.Filled, or orders for all of them; separated by commas', list)
    .option('--after <seq>', 'go on after this place; default the start, with --follow the end')
    .option('--follow', 'wait for more', false)
    .option('--json', 'as JSON lines', false)
    .action(
      wrap(async (context, options: EventsOptions) => (await import('./events.ts')).eventsCommand(context, options)),
    )
  program
    .command('rebuild')
    .description('make orders, fills, trades, decisions and positions again from the log, and compare')
    .option('--run <id>', 'one run; default all that leave everything in the log')
    .option('--swap', 'put what the log says in the place of what differs', false)
    .option('--json', 'as JSON lines', false)
    .action(
      wrap(async (context, options: RebuildOptions) => (await import('./rebuild.ts')).rebuildCommand(context, options)),
    )
}
