import type { AccountPositionRow, AccountRow, TradingMode } from '../../db/walle/live_rows.ts'
import { getAccount, listAccountPositions, listAccounts } from '../../db/walle/queries/accounts.ts'
import { createRecorder } from '../../db/walle/record.ts'
import { createAccountCommands } from '../glados/account_commands.ts'
import { wallClock } from '../glados/clock.ts'
import type { System } from '../system.ts'
import { type CliContext, CliError, withSystem } from './context.ts'

export interface AccountsOptions {
  json: boolean
}

export async function accountsCommand(context: CliContext, { json }: AccountsOptions): Promise<number> {
  return withSystem(context, 'accounts', async ({ db }) => {
    const accounts = await listAccounts(db.reader)
    const all = await listAccountPositions(db.reader)
    const items = accounts.map((account) => ({
      ...account,
      positions: all.filter(({ exchange, mode }) => exchange === account.exchange && mode === account.mode),
    }))
    if (json) context.print(JSON.stringify({ items }))
    else if (items.length === 0)
      context.print('There are no accounts yet: workers keep those that they have credentials for.')
    else for (const account of items) for (const text of lines(account)) context.print(text)
    return 0
  })
}

function lines({ positions, ...account }: AccountRow & { positions: AccountPositionRow[] }): string[] {
  const { exchange, mode, state, state_reason, blocked, cash, equity, currency, stream, reconciled_at } = account
  return [
    [
      `${exchange} ${mode}`,
      state_reason === null ? state : `${state}: ${state_reason}`,
      `equity ${equity} ${currency}, cash ${cash}`,
      stream === 'none' ? 'polled' : `stream ${stream ?? 'not known'}`,
      `reconciled ${reconciled_at ?? 'never'}`,
      ...(blocked === null ? [] : [`blocked by the venue: ${blocked}`]),
    ].join('  '),
    ...positions.map(({ symbol, venue_qty, runs_qty, unattributed_qty, paused_reason }) =>
      [
        `  ${symbol.padEnd(10)}`,
        whose({ venue_qty, runs_qty, unattributed_qty }),
        ...(paused_reason === null ? [] : [`PAUSED: ${paused_reason}`]),
      ].join('  '),
    ),
  ]
}

function whose(position: Pick<AccountPositionRow, 'venue_qty' | 'runs_qty' | 'unattributed_qty'>): string {
  const { venue_qty, runs_qty, unattributed_qty } = position
  return `${venue_qty} at the venue, ${runs_qty} of runs, ${unattributed_qty} unattributed`
}

function tradingMode(mode: string): TradingMode {
  if (mode === 'paper' || mode === 'live') return mode
  throw new CliError(`the mode is paper or live, not ${mode}`, 2)
}

const commandsOf = ({ db }: System) => createAccountCommands({ recorder: createRecorder(db), ...wallClock })

export async function acceptCommand(
  context: CliContext,
  exchange: string,
  mode: string,
  symbol: string,
): Promise<number> {
  const name = { exchange, mode: tradingMode(mode) }
  return withSystem(context, 'accounts', async (system) => {
    const { unattributed_qty } = await commandsOf(system).acceptPosition(name, symbol, { corrId: wallClock.newId() })
    context.print(
      `${unattributed_qty} ${symbol} at ${exchange} ${mode} is nobody's from now on, and the symbol goes on`,
    )
    return 0
  })
}

export interface AttributeOptions {
  price?: string
}

export async function attributeCommand(
  context: CliContext,
  { exchange, mode, symbol, runId, qty }: Record<'exchange' | 'mode' | 'symbol' | 'runId' | 'qty', string>,
  { price }: AttributeOptions,
): Promise<number> {
  const name = { exchange, mode: tradingMode(mode) }
  return withSystem(context, 'accounts', async (system) => {
    const request = { symbol, run_id: runId, qty, price }
    const now = await commandsOf(system).attributePosition(name, request, { corrId: wallClock.newId() })
    context.print(`${qty} ${symbol} at ${exchange} ${mode} for the run ${runId}: ${whose(now)}`)
    return 0
  })
}

export async function splitCommand(
  context: CliContext,
  { exchange, mode, symbol, ratio }: Record<'exchange' | 'mode' | 'symbol' | 'ratio', string>,
): Promise<number> {
  const name = { exchange, mode: tradingMode(mode) }
  return withSystem(context, 'accounts', async (system) => {
    const now = await commandsOf(system).splitPosition(name, { symbol, ratio }, { corrId: wallClock.newId() })
    context.print(`${symbol} at ${exchange} ${mode} is split ${ratio}: ${whose(now)}`)
    return 0
  })
}

/** Workers do it; so long is waited for it. */
const ANSWER_MS = 30_000
const ASK_AGAIN_MS = 250

export async function reconcileCommand(context: CliContext, exchange: string, mode: string): Promise<number> {
  const name = { exchange, mode: tradingMode(mode) }
  return withSystem(context, 'accounts', async (system) => {
    const asked = await commandsOf(system).reconcileAccount(name)
    for (let left = ANSWER_MS; left > 0; left -= ASK_AGAIN_MS) {
      const now = await getAccount(system.db.reader, name)
      if (now !== null && now.reconciled_at !== asked.reconciled_at) {
        const positions = (await listAccountPositions(system.db.reader)).filter(
          (position) => position.exchange === exchange && position.mode === mode,
        )
        for (const text of lines({ ...now, positions })) context.print(text)
        return 0
      }
      await wallClock.sleep(ASK_AGAIN_MS)
    }
    throw new CliError(
      `no worker has reconciled ${exchange} ${mode} within ${ANSWER_MS / 1000} s: it is done when one can`,
    )
  })
}
