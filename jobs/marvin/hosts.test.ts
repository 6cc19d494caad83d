import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import process from 'node:process'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type Catalog, createCatalog } from './catalog.ts'
import { HostLost, StrategyFailure } from './failure.ts'
import { createHostPool, HOST_ENTRY, type HostPool } from './host_pool.ts'
import { log } from './portable_math.ts'

const STRATEGIES = fileURLToPath(new URL('../../strategies/', import.meta.url))
const PROBE_HOST = fileURLToPath(new URL('../../tests/support/host_probe.ts', import.meta.url))
const TIMEOUT_MS = 3_000
/** Longer than a new host takes to start on a machine that is busy. */
const DESCRIBE_MS = 5_000

let folder = ''
const pools: HostPool[] = []

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'weaver-hosts-'))
})
afterAll(async () => {
  await Promise.all(pools.map((pool) => pool.close()))
  await rm(folder, { recursive: true, force: true })
})

function openPool(entry = HOST_ENTRY, size = 2): HostPool {
  const pool = createHostPool({
    ...{ size, entry, readable: [folder], timeoutMs: TIMEOUT_MS, memoryLimitMb: 250, inspectEveryMs: 20 },
    ...{ now: Date.now, sleep: (ms) => new Promise((done) => setTimeout(() => done(), ms)), log: () => {} },
  })
  pools.push(pool)
  return pool
}

/** A strategies folder of its own with the real api and the given files. */
async function openCatalog(files: Record<string, string>, hosts = openPool(), now = Date.now): Promise<Catalog> {
  const strategiesDir = await mkdtemp(join(folder, 'strategies-'))
  await cp(join(STRATEGIES, 'api.ts'), join(strategiesDir, 'api.ts'))
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(strategiesDir, path)), { recursive: true })
    await writeFile(join(strategiesDir, path), text)
  }
  return createCatalog({ strategiesDir, dataDir: folder, hosts, now, describeTimeoutMs: DESCRIBE_MS })
}

function strategy(id: string, top = '', params = ''): string {
  return `import { defineStrategy, z } from '../api.ts'
${top}
export default defineStrategy({
  id: '${id}', version: '2', description: 'A probe.', params: z.object({ ${params} }), window: () => ({ bars: 4 }), onWindow() {},
})
`
}

/** Each host is killed as soon as it is asked for the first time. */
function killingOnce(pool: HostPool): HostPool {
  const killed = new Set<number>()
  return {
    ...pool,
    withHost: (work, options) =>
      pool.withHost((host) => {
        if (killed.size === 2 || killed.has(host.pid)) return work(host)
        killed.add(host.pid)
        const answer = work(host)
        process.kill(host.pid, 'SIGKILL')
        return answer
      }, options),
  }
}

test('a host that is killed from outside says nothing about a strategy: another one is asked', async () => {
  const catalog = await openCatalog({ 'local/probe.ts': strategy('probe') }, killingOnce(openPool()))
  const found = await catalog.resolve('probe', { params: {}, fromText: false })
  expect([found?.item.id, found?.resolved.ok]).toEqual(['probe', true])
})

test('a strategy that took too long to describe itself, as on a busy machine, is asked once more before it is said to be missing', async () => {
  const pool = openPool()
  let time = 0
  let busy = true
  const hosts: HostPool = {
    ...pool,
    withHost: (work, options) => {
      if (!busy) return pool.withHost(work, options)
      time += DESCRIBE_MS
      return Promise.reject(new StrategyFailure({ message: `ran longer than ${DESCRIBE_MS} ms` }))
    },
  }
  const catalog = await openCatalog({ 'local/probe.ts': strategy('probe') }, hosts, () => time)
  expect(await catalog.find('probe')).toBeNull()
  busy = false
  expect((await catalog.list()).errors).toEqual([
    { path: 'local/probe.ts', message: `ran longer than ${DESCRIBE_MS} ms` },
  ])
  expect((await catalog.find('probe'))?.item.id).toBe('probe')
  expect((await catalog.list()).errors).toEqual([])
})

test('every shipped strategy describes itself', async () => {
  const catalog = createCatalog({ strategiesDir: STRATEGIES, dataDir: folder, hosts: openPool(), now: Date.now })
  const { items } = await catalog.list()
  const shipped = items.filter(({ path }) => !path.startsWith('local/'))
  expect(shipped.map(({ id, path }) => [id, path])).toEqual(
    [
      ...['bollinger_limit', 'bracket_sma', 'breakout', 'buy_and_hold', 'mean_reversion', 'momentum_rotation'],
      ...['rsi_reversion', 'sma_cross'],
    ].map((id) => [id, `${id}/index.ts`]),
  )
  expect(shipped.at(-1)?.params_schema).toMatchObject({
    properties: {
      fast: { type: 'integer', default: 10 },
      slow: { default: 30 },
      qty: { type: 'string', default: '1' },
    },
  })
})

test('a file that hangs, throws, exits, waits for ever or is no strategy is named, and the rest still work', async () => {
  const hosts = openPool()
  const twins = { 'twin/index.ts': strategy('twin'), 'local/twin.ts': strategy('twin') }
  const files = {
    'good/index.ts': strategy('good'),
    'local/mine/index.ts': strategy('mine').replace('../api.ts', '../../api.ts'),
    'endless/index.ts': strategy('endless', 'for (;;) {}'),
    'throws/index.ts': strategy('throws', "throw new Error('not today')"),
    'exits/index.ts': strategy('exits', '(globalThis as any).process.exit(3)'),
    'waits/index.ts': strategy('waits', 'await new Promise(() => {})'),
    'syntax/index.ts': 'export default {{{ id: ',
    'shape/index.ts': "export default { id: 'shape', version: '1', description: '' }",
    'clock/index.ts': strategy('clock', 'const started = Date.now()'),
    'chance/index.ts': strategy('chance', 'const luck = Math.random()'),
    'network/index.ts': strategy('network', "await fetch('http://127.0.0.1:1/')"),
    'patch/index.ts': strategy('patch', '(Float64Array.prototype as any).subarray = () => null'),
    'code/index.ts': strategy('code', "[].constructor.constructor('return 1')()"),
    'maths/index.ts': strategy('maths', 'throw new Error(String(Math.log(742.387117956697)))'),
    ...twins,
  }
  const catalog = await openCatalog(files, hosts)
  const { items, errors } = await catalog.list()
  const deterministic =
    'is not there: strategies are deterministic: use ctx.ts for the time and ctx.random() for chance'
  expect(items.map(({ id }) => id)).toEqual(['good', 'mine'])
  expect(errors.filter(({ path }) => path !== 'syntax/index.ts' && path !== 'patch/index.ts')).toEqual([
    { path: 'chance/index.ts', message: `Math.random ${deterministic}` },
    { path: 'clock/index.ts', message: `the present moment ${deterministic}` },
    { path: 'code/index.ts', message: 'EvalError: Code generation from strings disallowed for this context' },
    { path: 'endless/index.ts', message: `ran longer than ${DESCRIBE_MS} ms` },
    { path: 'exits/index.ts', message: `process ${deterministic}` },
    { path: 'local/twin.ts', message: 'has the same id twin as twin/index.ts: give one of them another' },
    // As portable_math.ts has it: engines give one more or less in the last place.
    { path: 'maths/index.ts', message: String(log(742.387117956697)) },
    { path: 'network/index.ts', message: `fetch ${deterministic}` },
    {
      path: 'shape/index.ts',
      message: 'TypeError: default export is not a strategy: missing params, missing window, missing onWindow',
    },
    { path: 'throws/index.ts', message: 'not today' },
    { path: 'twin/index.ts', message: 'has the same id twin as local/twin.ts: give one of them another' },
    { path: 'waits/index.ts', message: 'its file waits at its top for something that never happens' },
  ])
  expect(errors.find(({ path }) => path === 'syntax/index.ts')?.message).toMatch(/Syntax|parse/)
  expect(errors.find(({ path }) => path === 'patch/index.ts')?.message).toMatch(/read only|read-only/)
  expect((await catalog.find('good'))?.source.files['good/index.ts']).toContain("id: 'good'")
  // Where no file is slow: what is not found has those asked once more.
  expect(await (await openCatalog(twins, hosts)).find('twin')).toBeNull()
})

test('parameters get their defaults, text is read as the schema wants it, and what is wrong is named', async () => {
  const params = "fast: z.int().min(1).default(10), on: z.boolean().default(false), qty: z.string().default('1')"
  const catalog = await openCatalog({ 'one/index.ts': strategy('one', '', params) })
  const resolve = async (given: Parameters<Catalog['resolve']>[1]) => (await catalog.resolve('one', given))?.resolved
  expect(await resolve({ params: {} })).toEqual({ ok: true, params: { fast: 10, on: false, qty: '1' }, window_bars: 4 })
  expect(await resolve({ params: { fast: '5', on: 'true', qty: '10' }, fromText: true })).toEqual({
    ok: true,
    params: { fast: 5, on: true, qty: '10' },
    window_bars: 4,
  })
  expect(await resolve({ params: { fast: '5' } })).toMatchObject({ ok: false, issues: [{ path: 'fast' }] })
  expect(await resolve({ params: { fats: 5 } })).toEqual({
    ok: false,
    issues: [{ path: 'fats', message: 'one has no parameter fats: it has fast, on, qty' }],
  })
  expect(await catalog.resolve('two', { params: {} })).toBeNull()
})

test('columns go there and back, and the host may ask its parent in between', async () => {
  const hosts = openPool(PROBE_HOST)
  const asked: unknown[] = []
  const answer = await hosts.withHost((host) =>
    host.request(
      'sum',
      { times: 3 },
      {
        columns: { close: new Float64Array([1, 2, 3]), empty: new Float64Array(0) },
        onCall: async (kind, body, columns) => {
          asked.push([kind, body, [...(columns.part ?? [])]])
          return { body: { bonus: 4 }, columns: { more: new Float64Array([0.5]) } }
        },
      },
    ),
  )
  expect(asked).toEqual([['more', { sum: 18 }, [1]]])
  expect(answer.body).toEqual({ sum: 22 })
  expect([...(answer.columns.result ?? [])]).toEqual([3, 6, 9, 0.5])
})

test('megabytes pass in both directions', async () => {
  const hosts = openPool(PROBE_HOST)
  const close = Float64Array.from({ length: 1_000_000 }, (_, index) => index)
  const { columns } = await hosts.withHost((host) => host.request('echo', null, { columns: { close } }))
  expect(columns.close).toEqual(close)
})

test('a strategy that throws, hangs, exits or takes all memory fails alone, and its host is replaced', async () => {
  const hosts = openPool(PROBE_HOST, 1)
  const fails = (kind: string): Promise<unknown> =>
    hosts
      .withHost((host) => host.request(kind, null))
      .then(
        () => 'no failure',
        (error) => (error instanceof StrategyFailure ? error.failure : error),
      )
  expect(await fails('throw')).toMatchObject({
    message: 'TypeError: broken',
    bar_index: 7,
    stack: expect.stringContaining('host_probe'),
  })
  expect(await fails('hang')).toEqual({ message: `ran longer than ${TIMEOUT_MS} ms`, bar_index: 41 })
  expect(await fails('leak')).toEqual({ message: 'used more than 250 MB of memory', bar_index: 5 })
  expect(await fails('heap')).toEqual({ message: 'used more than 250 MB of memory' })
  expect(await fails('exit')).toEqual({ message: 'its host ended by itself (exit code 3)' })
  expect(await fails('unknown')).toMatchObject({ message: 'this host knows no request unknown' })
  expect((await hosts.withHost((host) => host.request('echo', 'alive'))).body).toBe('alive')
})

test('a host that is stopped or killed from outside is lost, which is not the fault of its strategy', async () => {
  const hosts = openPool(PROBE_HOST)
  const killed = hosts.withHost(async (host) => {
    await host.request('echo', null)
    const hanging = host.request('hang', null)
    process.kill(host.pid, 'SIGKILL')
    await hanging
  })
  await expect(killed).rejects.toThrow(new HostLost('a strategy host was killed from outside (SIGKILL)'))
  const stopped = hosts.withHost(async (host) => {
    await host.request('echo', null)
    const hanging = host.request('hang', null)
    void hosts.close()
    await hanging
  })
  await expect(stopped).rejects.toThrow(new HostLost('the strategy host was stopped'))
  await expect(hosts.withHost(async () => null)).rejects.toThrow(HostLost)
})

test('a fault of the parent that answers is not the fault of the strategy', async () => {
  const hosts = openPool(PROBE_HOST)
  const onCall = async (): Promise<never> => {
    throw new Error('the database is away')
  }
  const asking = hosts.withHost((host) =>
    host.request('sum', { times: 1 }, { columns: { close: new Float64Array(1) }, onCall }),
  )
  await expect(asking).rejects.toThrow('the database is away')
  await expect(asking).rejects.not.toBeInstanceOf(StrategyFailure)
})

test('a free host that served a run before is preferred for it, and who finds none waits', async () => {
  const hosts = openPool(PROBE_HOST, 2)
  const served = (prefer: string): Promise<{ pid: number; warm: boolean }> =>
    hosts.withHost(async (host) => ({ pid: host.pid, warm: host.warm, ...(await host.request('echo', null)) }), {
      prefer,
    })
  const [one, two] = await Promise.all([served('one'), served('two')])
  expect([one.warm, two.warm, one.pid === two.pid]).toEqual([false, false, false])
  const again = [await served('two'), await served('one'), await served('two')]
  expect(again.map(({ pid, warm }) => [pid, warm])).toEqual([
    [two.pid, true],
    [one.pid, true],
    [two.pid, true],
  ])
  const many = await Promise.all(['a', 'b', 'c', 'd', 'e'].map(served))
  expect(new Set(many.map(({ pid }) => pid))).toEqual(new Set([one.pid, two.pid]))
})

test('hosts end with their parent, also one that hangs', async () => {
  const parent = spawn(process.execPath, [join(dirname(PROBE_HOST), 'host_parent.ts')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  const pid = await new Promise<number>((told) => parent.stdout.once('data', (text) => told(Number(text))))
  expect(isAlive(pid)).toBe(true)
  parent.kill('SIGKILL')
  await expect.poll(() => isAlive(pid), { timeout: 10_000 }).toBe(false)
})

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}
