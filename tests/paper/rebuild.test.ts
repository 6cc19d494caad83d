/** What a paper session with exits, cancels and fetches left can be made again from its log, every row of it. */
import { expect, test } from 'vitest'
import { getRun } from '../../db/walle/queries/runs.ts'
import type { RunRow } from '../../db/walle/rows.ts'
import { wallClock } from '../../jobs/glados/clock.ts'
import { rebuildRun } from '../../jobs/history/rebuild.ts'
import { openPaperWorld } from '../support/paper_world.ts'

test('rows of paper runs are equal to what their log says', async () => {
  const paper = await openPaperWorld()
  try {
    const crossing = { strategy_id: 'sma_cross', config: { fast: 2, slow: 3, qty: '1' } }
    const restless = { strategy_id: 'restless', config: {} }
    const runs: { id: string }[] = []
    for (const wanted of [crossing, restless]) runs.push(await paper.start({ ...wanted, symbols: ['SIM/USD'] }))
    await paper.pass(7 * 60_000)
    // What a person says of a run's position, while it runs and after its end, is in its log like its fills.
    const { attributePosition } = paper.weaver.control.commands
    const attribute = (run_id: string, qty: string, price?: string) =>
      attributePosition(
        { exchange: 'sim', mode: 'paper' },
        { symbol: 'SIM/USD', run_id, qty, price },
        { corrId: wallClock.newId() },
      )
    const [held] = await paper.query<{ run_id: string; qty: string }>(
      `select p.run_id, p.qty from weaver.positions p join weaver.account_positions a
       on a.exchange = 'sim' and a.symbol = p.symbol where p.qty > 0.5 order by p.run_id limit 1`,
    )
    if (held === undefined) throw new Error('no run holds anything')
    await attribute(held.run_id, '-0.25')
    await paper.pass(2 * 60_000)
    for (const { id } of runs) await paper.stop(id)
    await attribute(held.run_id, '0.125', '100')
    const made = new Map<string, number>()
    for (const { id } of runs) {
      const run = (await getRun(paper.weaver.system.db.reader, id)) as RunRow
      const options = { swap: false, most: 5, onReport: () => {} }
      const { tables, left_out } = await rebuildRun({ db: paper.weaver.system.db, ...wallClock }, run, options)
      expect([run.status, run.error, left_out]).toEqual(['stopped', null, []])
      expect(tables.flatMap(({ table, differences }) => differences.map((one) => ({ table, ...one })))).toEqual([])
      for (const { table, rows } of tables) made.set(table, (made.get(table) ?? 0) + rows)
    }
    for (const table of ['orders', 'fills', 'decisions']) expect([table, made.get(table)]).not.toEqual([table, 0])
  } finally {
    await paper.close()
  }
}, 120_000)
