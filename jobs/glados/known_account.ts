/** What every command on an account begins with. */
import type { Reader } from '../../db/database.ts'
import type { AccountPositionRow, AccountRow } from '../../db/walle/live_rows.ts'
import { type AccountName, accountPositions } from '../../db/walle/queries/accounts.ts'
import type { CommandDependencies } from './commands.ts'
import { DomainError } from './errors.ts'

export type AccountCommandDependencies = Pick<CommandDependencies, 'recorder' | 'now' | 'newId'>

/** A symbol that the account has held. */
export async function mustHold(reader: Reader, name: AccountName, symbol: string): Promise<AccountPositionRow> {
  const position = (await accountPositions(reader, name)).find((row) => row.symbol === symbol)
  if (position !== undefined) return position
  const message = `${name.exchange} ${name.mode} never held ${symbol}: \`weaver accounts\` lists what it holds`
  throw new DomainError('NOT_FOUND', message, { symbol })
}

export async function mustKnow(
  { exchange, mode }: AccountName,
  found: Promise<AccountRow | null>,
): Promise<AccountRow> {
  const account = await found
  if (account !== null) return account
  const message = `there is no account ${exchange} ${mode}: \`weaver accounts\` lists those that were ever kept`
  throw new DomainError('NOT_FOUND', message, { exchange, mode })
}
