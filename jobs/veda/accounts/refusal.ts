/** A venue that does not know its credentials any more: its account is `refused`, and nothing is sent until it is ready again. */
import type { Database } from '../../../db/database.ts'
import type { TradingMode } from '../../../db/walle/live_rows.ts'
import { lockAccount } from '../../../db/walle/queries/accounts.ts'
import type { Live } from '../../live/live.ts'

/** In a transaction of its own: who has locked a run for its orders locks no account. */
export async function refuseAccount(
  jobs: Pick<Live, 'record' | 'now' | 'newId'> & { db: Database },
  { exchange, mode }: { exchange: string; mode: TradingMode },
  reason: string,
): Promise<void> {
  await jobs.db.write(async (tx) => {
    const account = await lockAccount(tx, { exchange, mode })
    if (account === null || account.state === 'refused') return
    const id = jobs.newId()
    await jobs.record(tx, {
      writes: [{ kind: 'save_accounts', rows: [{ ...account, state: 'refused', state_reason: reason }] }],
      events: [
        {
          id,
          type: 'account.Updated',
          run_id: null,
          corr_id: id,
          causation_id: null,
          ts: new Date(jobs.now()).toISOString(),
          producer: 'veda',
          payload: {
            exchange,
            mode,
            state: 'refused',
            state_reason: reason,
            cash: account.cash,
            equity: account.equity,
            buying_power: account.buying_power,
          },
        },
      ],
    })
  })
}
