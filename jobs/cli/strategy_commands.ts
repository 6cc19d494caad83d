/** The commands for whoever writes strategies. */
import type { Command, Option } from 'commander'
import type { AuditCommandOptions } from './audit.ts'
import type { CliContext } from './context.ts'

type Wrap = <Given extends unknown[]>(
  work: (context: CliContext, ...given: Given) => Promise<number>,
) => (...given: Given) => Promise<void>

interface Kinds {
  keyValue: (text: string, before?: Record<string, string>) => Record<string, string>
  list: (text: string, before?: string[]) => string[]
  timeframe: () => Option
}

export function addStrategyCommands(program: Command, wrap: Wrap, { keyValue, list, timeframe }: Kinds): void {
  program
    .command('audit')
    .description('look for look-ahead, module state and dependence on history in a strategy')
    .argument('<strategy>', 'a strategy id')
    .requiredOption('-s, --symbol <symbol>', 'a symbol; may be given several times', list)
    .addOption(timeframe())
    .option('--start <time>', 'ISO 8601; default the first stored bar')
    .option('--end <time>', 'ISO 8601; default the last stored bar')
    .option('-p, --param <name=value>', 'a parameter of the strategy', keyValue)
    .option('-f, --fill <name=value>', 'fill model, as for backtest', keyValue)
    .option('--cuts <n>', 'ticks at which history is cut, 1 to 1000', '20')
    .option('--seed <number>', 'of the cuts, of other futures and of ctx.random()', '0')
    .option('--json', 'the whole report as one JSON object', false)
    .action(
      wrap(async (context, id: string, options: AuditCommandOptions) =>
        (await import('./audit.ts')).auditCommand(context, id, options),
      ),
    )
  program
    .command('strategy')
    .description('strategies of your own')
    .command('new')
    .description('write a strategy to start from, with its test, to strategies/local/NAME')
    .argument('<name>', 'its id: lower-case letters, digits and _')
    .action(wrap(async (context, name: string) => (await import('./strategy.ts')).newStrategyCommand(context, name)))
}
