import { createRoute, z } from '@hono/zod-openapi'
import type { AccountRow } from '../../db/walle/live_rows.ts'
import { type AccountName, listAccounts } from '../../db/walle/queries/accounts.ts'
import { listMarkedAccountPositions, type MarkedAccountPosition } from '../../db/walle/queries/marked.ts'
import type { ApiDependencies } from '../dependencies.ts'
import { type ApiRouter, createRouter } from '../router.ts'
import { account, accountPosition, accounts, attribution, splitRatio } from '../schemas/accounts.ts'
import { answers, name } from '../schemas/values.ts'

const tags = ['accounts']
const params = z.object({
  exchange: name.openapi({ param: { name: 'exchange', in: 'path' } }),
  mode: z.enum(['paper', 'live']).openapi({ param: { name: 'mode', in: 'path' } }),
})

const listed = createRoute({
  method: 'get',
  path: '/accounts',
  tags,
  summary: 'Accounts at exchanges: their money, their state, what they hold and whose it is',
  responses: answers(200, accounts, 'Accounts'),
})

const reconciled = createRoute({
  method: 'post',
  path: '/accounts/{exchange}/{mode}/reconcile',
  tags,
  summary: 'Compare the account with its venue now; done when reconciled_at is later than reconcile_requested_at',
  request: { params },
  responses: answers(200, account, 'The account as it is now'),
})

const accepted = createRoute({
  method: 'post',
  path: '/accounts/{exchange}/{mode}/accept',
  tags,
  summary: 'Take what the venue holds of a symbol beyond the runs’ positions as nobody’s, and let the symbol go on',
  request: {
    params,
    body: { required: true, content: { 'application/json': { schema: z.strictObject({ symbol: name }) } } },
  },
  responses: answers(200, accountPosition, 'The position'),
})

const attributed = createRoute({
  method: 'post',
  path: '/accounts/{exchange}/{mode}/attribute',
  tags,
  summary:
    'Take a quantity of a symbol from a run, or give it one: what was traded by hand, or by nobody that is known',
  request: {
    params,
    body: { required: true, content: { 'application/json': { schema: attribution } } },
  },
  responses: answers(200, accountPosition, 'The account’s position'),
})

const split = createRoute({
  method: 'post',
  path: '/accounts/{exchange}/{mode}/split',
  tags,
  summary: 'Apply a split to what all runs of the account hold of a symbol, at the same cost',
  request: {
    params,
    body: {
      required: true,
      content: { 'application/json': { schema: z.strictObject({ symbol: name, ratio: splitRatio }) } },
    },
  },
  responses: answers(200, accountPosition, 'The account’s position'),
})

export function accountRoutes({ db: { reader }, commands }: ApiDependencies): ApiRouter {
  const router = createRouter()
  router.openapi(listed, async (c) => {
    const rows = await listAccounts(reader)
    const all = await listMarkedAccountPositions(reader)
    const items = rows.map((row) => ({
      ...row,
      positions: all.filter(({ exchange, mode }) => exchange === row.exchange && mode === row.mode),
    }))
    return c.json({ items }, 200)
  })
  router.openapi(reconciled, async (c) => {
    const row: AccountRow = await commands.reconcileAccount(c.req.valid('param'))
    return c.json({ ...row, positions: await listMarkedAccountPositions(reader, row) }, 200)
  })
  const marked = async (name: AccountName, { symbol }: { symbol: string }) =>
    (await listMarkedAccountPositions(reader, name)).find((one) => one.symbol === symbol) as MarkedAccountPosition
  router.openapi(accepted, async (c) => {
    const name = c.req.valid('param')
    const taken = await commands.acceptPosition(name, c.req.valid('json').symbol, { corrId: c.var.corrId })
    return c.json(await marked(name, taken), 200)
  })
  router.openapi(attributed, async (c) => {
    const name = c.req.valid('param')
    const taken = await commands.attributePosition(name, c.req.valid('json'), { corrId: c.var.corrId })
    return c.json(await marked(name, taken), 200)
  })
  router.openapi(split, async (c) => {
    const name = c.req.valid('param')
    const taken = await commands.splitPosition(name, c.req.valid('json'), { corrId: c.var.corrId })
    return c.json(await marked(name, taken), 200)
  })
  return router
}
