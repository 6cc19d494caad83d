/** Jobs as a person steers them, on a whole Weaver: what a run does when its job dies, is tried again, cancelled, paused. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { connectOwner } from '../db/client.ts'
import { generateCandles } from '../db/walle/generate.ts'
import { getBand } from '../db/walle/queries/bands.ts'
import { listJobs } from '../db/walle/queries/jobs.ts'
import { getRunLedger } from '../db/walle/queries/live_runs.ts'
import { getRun } from '../db/walle/queries/runs.ts'
import type { BandRow, CandleColumns, RunRow } from '../db/walle/rows.ts'
import { runCli } from '../jobs/cli/main.ts'
import { createTestApi, type TestApi } from './support/api.ts'
import { type InProcess, openInProcess } from './support/in_process.ts'
import { until } from './support/until.ts'

const HOUR = 3_600_000
const START = Date.UTC(2024, 0, 1)
const bars = generateCandles({ timeframe: '1h', start: START, bars: 400, seed: 5, startPrice: 100, volatility: 0.02 })
const column = (name: keyof CandleColumns) => Float64Array.from(bars, (bar) => Number(bar[name]))
const columns: CandleColumns = {
  time: column('time'),
  open: column('open'),
  high: column('high'),
  low: column('low'),
  close: column('close'),
  volume: column('volume'),
}
const request = {
  strategy_id: 'sma_cross',
  symbols: ['BTC/USD'],
  timeframe: '1h' as const,
  config: { fast: 3, slow: 8 },
}

let weaver: InProcess
let api: TestApi
beforeAll(async () => {
  weaver = await openInProcess()
  await weaver.store('BTC/USD', '1h', columns)
  const importCandles = () => Promise.reject(new Error('not here'))
  api = createTestApi(weaver.system.db, { commands: { ...weaver.control.commands, importCandles } })
})
afterAll(() => weaver.close())

const pause = (name: string) => weaver.control.commands.pauseJobs(name)
const resume = (name: string) => weaver.control.commands.resumeJobs(name)

async function asOwner(text: string, values: unknown[]): Promise<void> {
  const client = await connectOwner({ url: weaver.system.url, applicationName: 'weaver test owner' })
  try {
    await client.query(text, values)
  } finally {
    await client.end()
  }
}

/** A run that has come to where its first chunk waits. */
async function heldRun(driver: 'chunk' | 'chain'): Promise<string> {
  const corr = { corrId: randomUUID() }
  const start_time = new Date(columns.time[0] as number).toISOString()
  const end_time = new Date((columns.time.at(-1) as number) + HOUR).toISOString()
  const { id } = await weaver.control.commands.createRun(
    { mode: 'backtest', start_time, end_time, driver, ...request },
    corr,
  )
  const held = driver === 'chunk' ? 'greta.run_chunk' : 'greta.match_orders'
  await pause(held)
  await weaver.control.commands.startRun(id, corr)
  await until('its job waits', async () => {
    const { total } = await listJobs(weaver.system.db.reader, {
      run_id: id,
      task: held,
      state: 'paused',
      page: 1,
      page_size: 9,
    })
    return total === 1
  })
  return id
}

/** The run's job has used up its attempts, as if its worker had failed at each. */
async function kill(runId: string): Promise<string> {
  await asOwner(
    `update graphile_worker._private_jobs set attempts = max_attempts, last_error = 'no memory' where payload ->> 'run_id' = $1`,
    [runId],
  )
  await ended(runId, 'error')
  const { items } = await listJobs(weaver.system.db.reader, { run_id: runId, state: 'dead', page: 1, page_size: 10 })
  const job = items.find(({ task }) => task !== 'marvin.on_tick')
  if (!job) throw new Error(`run ${runId} has no dead job`)
  return job.id
}

const ended = (runId: string, status: RunRow['status']) =>
  until(`run ${runId} is ${status}`, async () => {
    const run = await getRun(weaver.system.db.reader, runId)
    return run?.status === status && run
  })

async function answer(path: string) {
  const response = await api.post(`/api/v1${path}`)
  return { status: response.status, body: (await response.json()) as Record<string, unknown> }
}

test('a run whose job died goes on when the job is retried, once, and ends as if nothing had been', async () => {
  const undisturbed = await weaver.backtest(request, columns)
  const id = await heldRun('chunk')
  const job = await kill(id)
  const run = await getRun(weaver.system.db.reader, id)
  expect(run?.error?.message).toBe('the job greta.run_chunk failed for good: no memory')
  const answers = await Promise.all([1, 2, 3].map(() => answer(`/jobs/${job}/retry`)))
  expect(answers.map(({ status }) => status).toSorted()).toEqual([200, 409, 409])
  const [done] = answers.filter(({ status }) => status === 200)
  expect(done?.body).toMatchObject({ id: job, state: 'retried', run: { id, status: 'running' } })
  const late = await answer(`/jobs/${job}/retry`)
  expect(late).toMatchObject({ status: 409, body: { code: 'CONFLICT' } })
  expect(late.body.message).toBe(`job ${job} was retried already, as job ${done?.body.retried_as}`)
  await resume('greta.run_chunk')
  const completed = await ended(id, 'completed')
  expect(completed).toMatchObject({ error: null, result_hash: undisturbed.result_hash })
  expect(completed.result_hash).toMatch(/^[0-9a-f]{64}$/)
  const shown = (await (await api.get(`/api/v1/jobs/${job}`)).json()) as object
  expect(shown).toMatchObject({ state: 'retried', retried_as: done?.body.retried_as, error: 'no memory' })
})

test.each(['veda.submit_order', 'veda.send_cancel', 'greta.replay_run'])(
  'a run goes on when a job dies that does not drive it: %s',
  async (task) => {
    const corr = { corrId: randomUUID() }
    const paper = {
      ...({ mode: 'paper', timeframe: '1d' } as const),
      ...{ exchange: 'sim', strategy_id: 'buy_and_hold', symbols: ['SIM/USD'] },
    }
    const { commands } = weaver.control
    const { id } = await commands.createRun(paper, corr)
    await commands.startRun(id, corr)
    const { reader } = weaver.system.db
    await until('it is ready', () => getRunLedger(reader, id))
    const wrong = { task, payload: { run_id: id, no_such: true }, queue: `a queue of ${id}` }
    await asOwner('select weaver.enqueue($1::jsonb)', [JSON.stringify([wrong])])
    const dead = { run_id: id, state: 'dead', page: 1, page_size: 9 } as const
    await until('the job is dead', async () => (await listJobs(reader, dead)).total === 1)
    expect(await getRun(reader, id)).toMatchObject({ status: 'running', error: null })
    await commands.stopRun(id, { cancel_orders: true, close_positions: false }, corr)
    await ended(id, 'stopped')
  },
)

test('a job that could do nothing is not retried, and the answer says why', async () => {
  const chain = await kill(await heldRun('chain'))
  await resume('greta.match_orders')
  const refused = await answer(`/jobs/${chain}/retry`)
  expect(refused).toMatchObject({ status: 409, body: { code: 'CONFLICT' } })
  expect(refused.body.message).toContain('went hop by hop and has ended in error')
  expect(await answer(`/jobs/${chain}/cancel`)).toMatchObject({ status: 200, body: { state: 'discarded', run: null } })
  expect(await answer(`/jobs/${chain}/retry`)).toMatchObject({ status: 409 })
  expect(await answer('/jobs/999999999/retry')).toMatchObject({ status: 404, body: { code: 'NOT_FOUND' } })
  expect(await answer('/jobs/x/cancel')).toMatchObject({ status: 404 })
})

test('a run whose job is cancelled is stopped with it, and told so', async () => {
  const id = await heldRun('chunk')
  const { items } = await listJobs(weaver.system.db.reader, { run_id: id, page: 1, page_size: 10 })
  const job = items[0]?.id
  const cancelled = await answer(`/jobs/${job}/cancel`)
  await resume('greta.run_chunk')
  expect(cancelled).toMatchObject({
    status: 200,
    body: { id: job, state: 'cancelled', run: { id, status: 'stopped' } },
  })
  expect(cancelled.body.message).toContain('its run, which cannot go on without it, is stopped')
  await ended(id, 'stopped')
  const told = await until('it is told', async () => {
    const { items } = (await (await api.get(`/api/v1/runs/${id}/events`)).json()) as { items: { type: string }[] }
    return items.at(-1)?.type === 'run.Stopped' && items
  })
  expect(told.at(-2)?.type).toBe('run.StopRequested')
  expect(await answer(`/jobs/${job}/cancel`)).toMatchObject({ status: 409 })
})

test('an assumption band whose job was cancelled, or died, has failed, and can be had all the same', async () => {
  const { id } = await weaver.backtest(request, columns)
  const wanted = async () => {
    await weaver.control.commands.requestBand(id)
    const { items } = await listJobs(weaver.system.db.reader, {
      ...{ run_id: id, task: 'greta.run_band', state: 'paused', page: 1, page_size: 9 },
    })
    return items[0]?.id as string
  }
  const band = (status: BandRow['status']) =>
    until(`the band is ${status}`, async () => {
      const row = await getBand(weaver.system.db.reader, id)
      return row?.status === status && row
    })
  await pause('greta.run_band')
  const lost = await wanted()
  expect(await answer(`/jobs/${lost}/cancel`)).toMatchObject({ status: 200, body: { state: 'cancelled' } })
  expect((await band('error')).error).toBe(`its job ${lost} was cancelled`)
  const dead = await wanted()
  await asOwner(
    `update graphile_worker._private_jobs set attempts = max_attempts, last_error = 'no memory' where id = $1`,
    [dead],
  )
  expect((await band('error')).error).toBe('no memory')
  expect(await answer(`/jobs/${dead}/retry`)).toMatchObject({ status: 200, body: { state: 'retried' } })
  await band('running')
  await resume('greta.run_band')
  expect((await band('completed')).error).toBeNull()
})

test('jobs are listed by task, state and run, those that have ended too, and pauses are seen', async () => {
  const id = await heldRun('chunk')
  const list = async (query: string) =>
    (await (await api.get(`/api/v1/jobs?run_id=${id}&${query}`)).json()) as { items: { task: string; state: string }[] }
  const shown = async (query: string) => (await list(query)).items.map(({ task, state }) => `${task} ${state}`)
  expect(await shown('')).toEqual(['greta.run_chunk paused'])
  expect(await shown('state=done')).toEqual(['greta.start_run done'])
  expect(await shown('task=greta.finish_run')).toEqual([])
  const { items } = (await (await api.get('/api/v1/queues')).json()) as { items: object[] }
  expect(items).toMatchObject([{ kind: 'task', name: 'greta.run_chunk', jobs: 1 }])
  expect(await answer('/queues/greta.run_chunk/resume')).toMatchObject({
    body: { kind: 'task', paused: false, jobs: 1 },
  })
  await ended(id, 'completed')
  const done = await list('state=done&page_size=1')
  expect(done).toMatchObject({ page_size: 1, page: 1, items: [{ task: 'greta.finish_run', run_id: id }] })
  expect(await answer('/queues/greta.run_chnk/pause')).toMatchObject({
    status: 422,
    body: { code: 'VALIDATION_ERROR' },
  })
  expect((await api.get('/api/v1/jobs?state=lost')).status).toBe(422)
})

test('the command line lists, pauses, resumes, cancels and stops, and says what it cannot', async () => {
  let out = ''
  vi.stubEnv('DATABASE_URL', weaver.system.url)
  vi.stubEnv('WEAVER_DATA_DIR', weaver.system.config.dataDir)
  vi.stubEnv('WEAVER_LOG_LEVEL', 'error')
  const write = (text: string | Uint8Array) => {
    out += text
    return true
  }
  vi.spyOn(process.stdout, 'write').mockImplementation(write)
  vi.spyOn(process.stderr, 'write').mockImplementation(write)
  const cli = async (...args: string[]) => {
    out = ''
    return { code: await runCli(args), out }
  }
  try {
    const id = await heldRun('chunk')
    const listed = await cli('jobs', '--run', id)
    expect(listed.code).toBe(0)
    expect(listed.out).toContain('the task greta.run_chunk is paused: 1 jobs wait')
    expect(listed.out).toMatch(/paused {5}greta\.run_chunk {5}attempt 0 of 5/)
    expect(await cli('stop', id)).toEqual({ code: 0, out: `run ${id} is stopped\n` })
    expect(await cli('jobs', 'resume', 'greta.run_chunk')).toEqual({
      code: 0,
      out: 'the task greta.run_chunk goes on: 1 jobs\n',
    })
    expect(await cli('orders', '--limit', '1', '--json')).toMatchObject({ code: 0 })
    expect(Object.keys(JSON.parse(out))).toEqual(['items', 'total'])
    expect(await cli('orders', '--run', id)).toEqual({ code: 0, out: 'There are no such orders.\n' })
    expect(await cli('jobs', 'retry', '999999999')).toEqual({ code: 1, out: 'weaver: there is no job 999999999\n' })
    expect(await cli('jobs', '--limit', '0')).toMatchObject({ code: 2 })
    expect(await cli('jobs', '--state', 'lost')).toMatchObject({ code: 2 })
    expect(await cli('stop', randomUUID())).toMatchObject({ code: 1 })
  } finally {
    vi.restoreAllMocks()
    vi.unstubAllEnvs()
  }
})
