/** What a person may ask of an account: to compare it with its venue now, and to say whose a difference is. */
import type { NewEvent } from '../../db/events/envelope.ts'
import type { AccountPositionRow, AccountRow } from '../../db/walle/live_rows.ts'
import { type AccountName, heldByRuns, lockAccount, runsWithSymbols } from '../../db/walle/queries/accounts.ts'
import { beyondNobodys } from '../greta/attribution.ts'
import { Decimal, ZERO } from '../greta/decimals.ts'
import { type AttributeRequest, attributePosition, type SplitRequest, splitPosition } from './attribution_commands.ts'
import type { CommandContext } from './commands.ts'
import { DomainError } from './errors.ts'
import { type AccountCommandDependencies, mustHold, mustKnow } from './known_account.ts'

export function createAccountCommands(deps: AccountCommandDependencies) {
  return {
    reconcileAccount: (name: AccountName) => requestReconciliation(deps, name),
    acceptPosition: (name: AccountName, symbol: string, context: CommandContext) =>
      acceptPosition(deps, name, symbol, context),
    attributePosition: (name: AccountName, request: AttributeRequest, context: CommandContext) =>
      attributePosition(deps, name, request, context),
    splitPosition: (name: AccountName, request: SplitRequest, context: CommandContext) =>
      splitPosition(deps, name, request, context),
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
    const position = await mustHold(reader, name, symbol)
    const held = (await heldByRuns(reader, name)).filter((one) => one.symbol === symbol)
    const ours = held.reduce((sum, { qty }) => sum.plus(qty), ZERO)
    const unattributed = new Decimal(position.venue_qty).minus(ours).toString()
    mustNotBeRuns(name, position, new Decimal(unattributed), held)
    // Twice is once.
    if (position.paused_reason === null && unattributed === position.unattributed_qty) {
      return { outcome: { writes: [], events: [] }, result: position }
    }
    const at = new Date(now()).toISOString()
    const accepted: AccountPositionRow = {
      ...position,
      runs_qty: ours.toString(),
      unattributed_qty: unattributed,
      ...{ paused_reason: null, paused_class: null },
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
    const runs = position.paused_class === 'split' ? await runsWithSymbols(reader, name, [symbol]) : []
    // The keeper looks at once whether the venue still holds what was accepted.
    await reader.query(`select pg_notify('weaver_account', '')`)
    return {
      outcome: {
        writes: [
          { kind: 'save_account_positions', rows: [accepted] },
          { kind: 'save_accounts', rows: [{ ...account, reconcile_requested_at: at }] },
        ],
        events: [event],
        // It was no split: exits that had made way for one come back.
        jobs: runs.map((run) => ({ task: 'veda.fit_symbol', payload: run, queue: `run:${run.run_id}` })),
      },
      result: accepted,
    }
  })
}

/** Nobody owes what runs hold: they would sell it all the same. */
function mustNotBeRuns(
  { exchange, mode }: AccountName,
  { symbol, unattributed_qty }: AccountPositionRow,
  unattributed: Decimal,
  held: readonly { run_id: string; qty: string }[],
): void {
  const change = unattributed.minus(unattributed_qty)
  const longs = held.filter(({ qty }) => new Decimal(qty).gt(ZERO))
  const all = longs.reduce((sum, { qty }) => sum.plus(qty), ZERO)
  const theirs = change.lt(ZERO) ? beyondNobodys(new Decimal(unattributed_qty), change, all) : ZERO
  if (theirs.eq(ZERO)) return
  const cures = longs.map(({ run_id, qty }) => {
    const most = theirs.abs().lt(qty) ? theirs : new Decimal(qty).neg()
    return `\`weaver accounts attribute ${exchange} ${mode} ${symbol} ${run_id} ${most}\``
  })
  const message = `${theirs.abs()} ${symbol} that runs hold are not in the account: hold them against a run first, ${cures.join(' or ')}`
  throw new DomainError('CONFLICT', message, { symbol, missing: theirs.abs().toString() })
}
