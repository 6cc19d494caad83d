import { expect, test } from 'vitest'
import { Secret } from '../db/secrets.ts'
import { pause } from '../tests/support/until.ts'
import { addLogContext, createLog, withLogContext } from './log.ts'

const CANARY = 'canary-of-the-log-0123456789'
const secret = new Secret(CANARY)

function logging() {
  const lines: Record<string, unknown>[] = []
  const texts: string[] = []
  const log = createLog('info', {
    write(line) {
      texts.push(line)
      lines.push(JSON.parse(line))
    },
  })
  return { log, lines, texts }
}

test('a line carries what its job is known by, also after waiting, and what became known under way', async () => {
  const { log, lines } = logging()
  const job = (job_id: string, ms: number) =>
    withLogContext({ job_id, task: 'greta.run_chunk' }, async () => {
      await pause(ms)
      log.info('before')
      addLogContext({ corr_id: `corr ${job_id}` })
      await withLogContext({ run_id: `run ${job_id}` }, async () => {
        await pause(ms)
        log.info({ task: 'its own' }, 'after')
      })
    })
  log.info('outside')
  await Promise.all([job('1', 4), job('2', 1)])
  const told = lines.map(({ level: _level, time: _time, ...rest }) => rest)
  expect(told[0]).toEqual({ msg: 'outside' })
  expect(told.filter(({ job_id }) => job_id === '1')).toEqual([
    { msg: 'before', job_id: '1', task: 'greta.run_chunk' },
    { msg: 'after', job_id: '1', task: 'its own', corr_id: 'corr 1', run_id: 'run 1' },
  ])
  expect(told.filter(({ job_id }) => job_id === '2')).toHaveLength(2)
})

test('no line shows a secret: in its message, its fields, an error, its stack or its causes', () => {
  const { log, lines, texts } = logging()
  const cause = new Error(`cause ${CANARY}`)
  const error = Object.assign(new Error(`outer ${CANARY}`, { cause }), {
    detail: { url: `postgres://u:${CANARY}@h/d` },
  })
  log.warn({ err: error, config: { secret, raw: CANARY }, headers: { authorization: 'Bearer of somebody' } }, CANARY)
  log.error(new AggregateError([error], 'several'))
  expect(texts.join()).not.toContain(CANARY)
  expect(texts.join()).not.toContain('somebody')
  expect(lines[0]).toMatchObject({
    msg: '[redacted]',
    config: { secret: '[redacted]', raw: '[redacted]' },
    headers: { authorization: '[redacted]' },
    err: { message: 'outer [redacted]', cause: { message: 'cause [redacted]' } },
  })
})
