import { createRoute } from '@hono/zod-openapi'
import type { HaltRow } from '../../db/walle/live_rows.ts'
import { DomainError } from '../../jobs/glados/errors.ts'
import type { ApiDependencies } from '../dependencies.ts'
import { type ApiRouter, createRouter } from '../router.ts'
import { halted, haltRequest, resumed, resumeRequest } from '../schemas/halts.ts'
import { answers } from '../schemas/values.ts'

const tags = ['system']
const BY = 'the API'

const pressed = createRoute({
  method: 'post',
  path: '/system/halt',
  tags,
  summary: 'The kill switch: no order leaves from now on but cancels, and every open order is cancelled',
  request: { body: { required: false, content: { 'application/json': { schema: haltRequest } } } },
  responses: answers(200, halted, 'It is halted, by this or already, and what was done about open orders'),
})

const released = createRoute({
  method: 'post',
  path: '/system/resume',
  tags,
  summary: 'End the halt of the system, or of one run that broke a limit',
  request: { body: { required: false, content: { 'application/json': { schema: resumeRequest } } } },
  responses: answers(200, resumed, 'What still holds'),
})

const read = createRoute({
  method: 'get',
  path: '/system/halts',
  tags,
  summary: 'The halts that hold',
  responses: answers(200, resumed, 'Halts'),
})

export function haltRoutes({ commands, pressHalt }: ApiDependencies): ApiRouter {
  const router = createRouter()
  router.openapi(pressed, async (c) => {
    const { reason = null, by = BY } = c.req.valid('json') ?? {}
    const request = { rule: 'kill_switch', reason, by }
    const { by: way, halt, ...done } = await pressHalt(request, { corrId: c.var.corrId })
    if (way === null) throw new DomainError('SERVICE_UNAVAILABLE', done.said.join(' '), { asked: done.asked })
    return c.json({ by: way, halt: halt && shown(halt), ...done }, 200)
  })
  router.openapi(released, async (c) => {
    const { run_id, by = BY } = c.req.valid('json') ?? {}
    const context = { corrId: c.var.corrId }
    await (run_id === undefined ? commands.resume(by, context) : commands.resumeRun(run_id, by, context))
    return c.json({ items: (await commands.halts()).map(shown) }, 200)
  })
  router.openapi(read, async (c) => c.json({ items: (await commands.halts()).map(shown) }, 200))
  return router
}

function shown({ id: haltId, run_id, rule, reason, halted_at, halted_by }: HaltRow) {
  return { id: haltId, run_id, rule, reason, halted_at, halted_by }
}
