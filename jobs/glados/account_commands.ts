/** What a person may ask of an account: to compare it with its venue now, and to take a difference as nobody's. */
import type { NewEvent } from '../../db/events/envelope.ts'
import type { AccountPositionRow, AccountRow } from '../../db/walle/live_rows.ts'
import { type AccountName, accountPositions, lockAccount, runsHold } from '../../db/walle/queries/accounts.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import type { CommandContext, CommandDependencies } from './commands.ts'
import { DomainError } from './errors.ts'

type AccountCommandDependencies = Pick<CommandDependencies, 'recorder' | 'now' | 'newId'>

export function createAccountCommands(deps: AccountCommandDependencies) {
  return {
    reconcileAccount: (name: AccountName) => requestReconciliation(deps, name),
    acceptPosition: (name: AccountName, symbol: string, context: CommandContext) =>
      acceptPosition(deps, name, symbol, context),
  }
}

export type AccountCommands = ReturnType<typeof createAccountCommands>

/** Wakes its keeper; the answer is the account as it was before. */
function requestReconciliation({ recorder, now }: AccountCommandDependencies, name: AccountName): Promise<AccountRow> {
  return recorder(async (reader) => {
    const account = await mustKnow(name, lockAccount(reader, name))
    const asked = { ...account, reconcile_requested_at: new Date(now()).toISOString() }
    await reader.query(`select pg_notify('weaver_account', '')`)
    return { outcome: { writes: [{ kind: 'save_accounts', rows: [asked] }], events: [] }, result: asked }
  })
}

/** What the venue holds beyond the runs' positions is nobody's from now on, and the symbol goes on. */
function acceptPosition(
  { recorder, now, newId }: AccountCommandDependencies,
  name: AccountName,
  symbol: string,
  { corrId }: CommandContext,
): Promise<AccountPositionRow> {
  return recorder(async (reader) => {
    const account = await mustKnow(name, lockAccount(reader, name))
    const position = (await accountPositions(reader, name)).find((row) => row.symbol === symbol)
    if (position === undefined) {
      const message = `${name.exchange} ${name.mode} never held ${symbol}: \`weaver accounts\` lists what it holds`
      throw new DomainError('NOT_FOUND', message, { symbol })
    }
    const ours = (await runsHold(reader, name)).find((held) => held.symbol === symbol)?.qty ?? ZERO
    const unattributed = new Decimal(position.venue_qty).minus(ours).toString()
    // Twice is once.
    if (position.paused_reason === null && unattributed === position.unattributed_qty) {
      return { outcome: { writes: [], events: [] }, result: position }
    }
    const at = new Date(now()).toISOString()
    const accepted: AccountPositionRow = {
      ...position,
      runs_qty: new Decimal(ours).toString(),
      unattributed_qty: unattributed,
      paused_reason: null,
    }
    const event: NewEvent = {
      ...{ id: newId(), type: 'account.Reconciled', run_id: null, corr_id: corrId, causation_id: null },
      ...{ ts: at, producer: 'glados' },
      payload: {
        ...name,
        cause: 'request',
        since: at,
        orders_checked: 0,
        findings: [
          {
            ...{ class: 'position_explained', symbol, client_order_id: null },
            detail: `accepted by a person: ${unattributed} of the venue's ${position.venue_qty} is nobody's, it was ${position.unattributed_qty}`,
          },
        ],
        left_out: 0,
      },
    }
    // The keeper looks at once whether the venue still holds what was accepted.
    await reader.query(`select pg_notify('weaver_account', '')`)
    return {
      outcome: {
        writes: [
          { kind: 'save_account_positions', rows: [accepted] },
          { kind: 'save_accounts', rows: [{ ...account, reconcile_requested_at: at }] },
        ],
        events: [event],
      },
      result: accepted,
    }
  })
}

async function mustKnow({ exchange, mode }: AccountName, found: Promise<AccountRow | null>): Promise<AccountRow> {
  const account = await found
  if (account !== null) return account
  const message = `there is no account ${exchange} ${mode}: \`weaver accounts\` lists those that were ever kept`
  throw new DomainError('NOT_FOUND', message, { exchange, mode })
}
