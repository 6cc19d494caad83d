import { Readable } from 'node:stream'
import { inspect } from 'node:util'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../tests/support/database.ts'
import { connectOwner, describeUrl, openDatabase, openOwnerPool } from './client.ts'
import { DatabaseUnavailable } from './database.ts'
import { namedError } from './unavailable.ts'

let database: TestDatabase

beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const batch = (id: string) =>
  `insert into weaver.batches (id, strategy_id, status, request, total) values ('${id}', 'sma_cross', 'running', '{}', 3)`
const ID = '00000000-0000-4000-8000-00000000000'

/** Ends every other connection of this database, as a restart of the server would. */
async function terminateOthers(): Promise<void> {
  const client = await connectOwner({ url: database.url, applicationName: 'killer' })
  await client.query(
    `select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()`,
  )
  await client.end()
}

test('values arrive exact: decimals as plain strings, bigints as numbers, times as ISO 8601 with milliseconds', async () => {
  const rows = await database.db.reader.query(
    `select 1.50::numeric as numeric, 100::numeric as whole, '12345678901234567890.123456789000'::numeric as long,
      9007199254740991::bigint as int8, '2026-03-01 12:00:00.123456+02'::timestamptz as at,
      '2026-03-01'::timestamptz as midnight, 'infinity'::timestamptz as never, '2026-03-01'::date as day,
      '{"a":[1,null]}'::jsonb as json, '\\x0102ff'::bytea as bytes, 0.1::float8 as float,
      array[1.10, null]::numeric[] as numerics, array[1,2]::bigint[] as int8s,
      array['2026-03-01']::timestamptz[] as times, array['a,b']::text[] as texts`,
  )
  expect(rows).toEqual([
    {
      numeric: '1.5',
      whole: '100',
      long: '12345678901234567890.123456789',
      int8: 9007199254740991,
      at: '2026-03-01T10:00:00.123Z',
      midnight: '2026-03-01T00:00:00.000Z',
      never: 'infinity',
      day: '2026-03-01',
      json: { a: [1, null] },
      bytes: Buffer.from([1, 2, 255]),
      float: 0.1,
      numerics: ['1.1', null],
      int8s: [1, 2],
      times: ['2026-03-01T00:00:00.000Z'],
      texts: ['a,b'],
    },
  ])
})

test('a bigint that a number cannot hold is an error that says how to read it', async () => {
  await expect(database.db.reader.query('select 9007199254740993::bigint')).rejects.toThrow(
    'the bigint 9007199254740993 does not fit a number: select it as ::text',
  )
  expect(await database.db.reader.query('select 1 as one')).toEqual([{ one: 1 }])
})

test('a reader cannot write: its role may not, and its snapshots are read only', async () => {
  await expect(database.db.reader.query(batch(`${ID}1`))).rejects.toMatchObject({ code: '42501' })
  await expect(database.db.read((reader) => reader.query(batch(`${ID}1`)))).rejects.toMatchObject({ code: '25006' })
})

test('a write is all or nothing', async () => {
  await expect(
    database.db.write(async (tx) => {
      await tx.execute(batch(`${ID}2`))
      throw new Error('changed my mind')
    }),
  ).rejects.toThrow('changed my mind')
  const written = await database.db.write((tx) => tx.execute(batch(`${ID}3`)))
  expect(written).toBe(1)
  expect(await database.db.reader.query('select id, done, total from weaver.batches')).toEqual([
    { id: `${ID}3`, done: 0, total: 3 },
  ])
})

test('a write whose failed statement was swallowed is an error, not a silent rollback', async () => {
  const write = database.db.write(async (tx) => {
    await tx.execute(batch(`${ID}4`))
    await tx.execute('select 1 / 0').catch(() => {})
  })
  await expect(write).rejects.toThrow('the transaction was rolled back')
})

test('a transaction cannot be used after its end', async () => {
  const tx = await database.db.write(async (inside) => inside)
  await expect(tx.query('select 1')).rejects.toThrow('this transaction has ended')
})

test('statements of a transaction go out together, in their order, also around a copy', async () => {
  const done = await database.db.write(async (tx) => {
    await tx.execute('create temp table steps (n int, at int generated always as identity) on commit drop')
    const rows = Readable.from(['2\n3\n'])
    await Promise.all([
      tx.execute('insert into steps (n) values ($1)', [1]),
      tx.copyFrom('copy steps (n) from stdin', rows),
      tx.execute('insert into steps (n) values ($1)', [4]),
      tx.copyTo('copy steps to stdout'),
      tx.execute('insert into steps (n) values ($1)', [5]),
    ])
    return tx.query<{ n: number }>('select n from steps order by at')
  })
  expect(done.map(({ n }) => n)).toEqual([1, 2, 3, 4, 5])
})

test('of statements that are sent together the first that fails is the error, and nothing of any stays', async () => {
  const failing = database.db.write((tx) =>
    Promise.all([
      tx.execute(batch(`${ID}4`)),
      tx.execute('select 1 / $1::int', [0]),
      tx.execute(batch(`${ID}5`)),
      tx.execute('select nonsense'),
    ]),
  )
  await expect(failing).rejects.toMatchObject({ code: '22012' })
  const known = [`${ID}4`, `${ID}5`]
  expect(await database.db.reader.query('select id from weaver.batches where id = any ($1::uuid[])', [known])).toEqual(
    [],
  )
})

test('a statement whose answer nobody waits for fails the transaction with its own error', async () => {
  const last = database.db.write(async (tx) => {
    await tx.execute(batch(`${ID}7`))
    tx.send('select 1 / $1::int', [0])
  })
  await expect(last).rejects.toMatchObject({ code: '22012' })
  const between = database.db.write(async (tx) => {
    tx.send('select 1 / $1::int', [0])
    await tx.execute(batch(`${ID}7`))
  })
  await expect(between).rejects.toMatchObject({ code: '22012' })
  const after = database.db.write(async (tx) => {
    const failing = tx.execute('select 1 / $1::int', [0])
    tx.send(batch(`${ID}7`))
    await failing
  })
  await expect(after).rejects.toMatchObject({ code: '22012' })
  const rest = database.db.write((tx) => {
    tx.execute('select 1 / $1::int', [0]).catch(() => {})
    return tx.execute(batch(`${ID}7`))
  })
  await expect(rest).rejects.toMatchObject({ code: '22012' })
  expect(await database.db.reader.query('select id from weaver.batches where id = $1', [`${ID}7`])).toEqual([])
})

test('without a transaction that has begun the writer cannot write', async () => {
  const ended = database.db.write(async (tx) => {
    await tx.execute('commit')
    await tx.execute(batch(`${ID}6`))
  })
  await expect(ended).rejects.toMatchObject({ code: '25006' })
  expect(await database.db.reader.query('select id from weaver.batches where id = $1', [`${ID}6`])).toEqual([])
})

test('read sees one snapshot, whatever commits meanwhile', async () => {
  const counts = await database.db.read(async (reader) => {
    const count = async () => (await reader.query<{ n: number }>('select count(*) as n from weaver.schedules'))[0]?.n
    const before = await count()
    await database.db.write((tx) =>
      tx.execute(
        `insert into weaver.schedules (id, cron, time_zone, batch) values (gen_random_uuid(), '0 0 * * *', 'UTC', '{}')`,
      ),
    )
    return [before, await count()]
  })
  expect(counts).toEqual([0, 0])
})

test('copyFrom streams rows in and copyTo reads them back', async () => {
  const copied = await database.db.write((tx) =>
    tx.copyFrom(
      `copy weaver.candles (symbol, timeframe, "timestamp", open, high, low, close, volume) from stdin`,
      Readable.from([
        'A/USD\t1m\t2026-01-01 00:00:00Z\t1\t2\t0.5\t1.5\t10\n',
        'A/USD\t1m\t2026-01-01 00:01:00Z\t1\t2\t0.5\t1.5\t10\n',
      ]),
    ),
  )
  expect(copied).toBe(2)
  const bytes = await database.db.reader.copyTo('copy (select symbol, close from weaver.candles order by id) to stdout')
  expect(Buffer.from(bytes).toString()).toBe('A/USD\t1.5\nA/USD\t1.5\n')
})

test('copyTo gives many rows of any size byte by byte, and fails as a query does', async () => {
  const select = `select repeat(chr(97 + n % 26), n * 37) from generate_series(1, 400) as n`
  const bytes = await database.db.reader.copyTo(`copy (${select}) to stdout`)
  const rows = await database.db.reader.query<{ repeat: string }>(select)
  expect(Buffer.from(bytes).toString()).toBe(rows.map(({ repeat }) => `${repeat}\n`).join(''))
  await expect(
    database.db.reader.copyTo('copy (select 1 / (n - 300) from generate_series(1, 400) as n) to stdout'),
  ).rejects.toMatchObject({ code: '22012' })
  expect(await database.db.read((reader) => reader.copyTo('copy (select 7) to stdout'))).toEqual(Buffer.from('7\n'))
})

test('a copy whose source fails leaves nothing, and the connection is not reused in that state', async () => {
  const broken = Readable.from(
    (async function* () {
      yield 'B/USD\t1m\t2026-01-01 00:00:00Z\t1\t2\t0.5\t1.5\t10\n'
      throw new Error('the file ended early')
    })(),
  )
  await expect(
    database.db.write((tx) =>
      tx.copyFrom(
        `copy weaver.candles (symbol, timeframe, "timestamp", open, high, low, close, volume) from stdin`,
        broken,
      ),
    ),
  ).rejects.toThrow('the file ended early')
  expect(await database.db.reader.query(`select from weaver.candles where symbol = 'B/USD'`)).toEqual([])
  expect(await database.db.write((tx) => tx.query('select 1 as one'))).toEqual([{ one: 1 }])
})

test('when the server ends every connection the query under way rejects and the next one works', async () => {
  const underWay = expect(database.db.reader.query('select pg_sleep(20)')).rejects.toMatchObject({ code: '57P01' })
  const writing = expect(
    database.db.write(async (tx) => {
      await tx.execute(batch(`${ID}5`))
      await terminateOthers()
      await tx.query('select 1')
    }),
  ).rejects.toThrow()
  await Promise.all([underWay, writing])
  expect(await database.db.reader.query('select 1 as one')).toEqual([{ one: 1 }])
  expect(await database.db.write((tx) => tx.execute(`delete from weaver.batches where id = '${ID}5'`))).toBe(0)
})

test('an error says by name that the database is away, and only then', async () => {
  const { db } = database
  for (const ask of [
    () => db.reader.query('set local statement_timeout = 20; select pg_sleep(5)'),
    () =>
      db.read(async (reader) => {
        await terminateOthers()
        await reader.query('select 1')
      }),
    () => db.write(() => terminateOthers()),
  ]) {
    await expect(ask()).rejects.toBeInstanceOf(DatabaseUnavailable)
  }
  const refused = await db.reader.query('select 1 / 0').catch((error: unknown) => error)
  expect(refused).toMatchObject({ code: '22012' })
  expect(refused).not.toBeInstanceOf(DatabaseUnavailable)
  const ours = new Error('ours')
  await expect(db.write(() => Promise.reject(ours))).rejects.toBe(ours)
})

test.each([
  Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:5432'), { code: 'ECONNREFUSED' }),
  Object.assign(new AggregateError([], ''), { code: 'ECONNREFUSED' }),
  new Error('Connection terminated unexpectedly'),
  new Error('timeout exceeded when trying to connect'),
  new Error('Query read timeout'),
  new Error('the candles cannot be read', { cause: new Error('Connection terminated') }),
])('"%s" is a database that is away', (error) => {
  expect(namedError(error)).toBeInstanceOf(DatabaseUnavailable)
  expect(namedError(error)).toMatchObject({ cause: error })
})

test.each([
  Object.assign(new Error('no such file'), { code: 'ENOENT' }),
  Object.assign(new Error('duplicate key'), { code: '23505' }),
  new Error('no connection to make'),
  'a text',
])('"%s" is another error', (error) => {
  expect(namedError(error)).toBe(error)
})

test('a session says that its connection is gone, asked for or not', async () => {
  const cut = await database.db.session()
  await cut.query('select pg_advisory_lock(1)')
  await terminateOthers()
  expect(await cut.lost).toBeInstanceOf(Error)
  await expect(cut.query('select 1')).rejects.toThrow()

  const closed = await database.db.session()
  expect(await closed.query('select pg_try_advisory_lock(1) as free')).toEqual([{ free: true }])
  await closed.close()
  expect(await closed.lost).toBeNull()
})

test('a listener hears notifications, also after its connection was ended by the server', async () => {
  let heard = 0
  let ready = 0
  const listener = await database.db.listen('weaver_test', {
    onNotify: () => {
      heard += 1
    },
    onReady: () => {
      ready += 1
    },
  })
  expect(ready).toBe(1)
  await database.db.write((tx) => tx.execute(`notify weaver_test`))
  await vi.waitFor(() => expect(heard).toBe(1), 10_000)
  await terminateOthers()
  await vi.waitFor(() => expect(ready).toBe(2), 10_000)
  await database.db.write((tx) => tx.execute(`notify weaver_test`))
  await vi.waitFor(() => expect(heard).toBe(2), 10_000)
  await listener.close()
})

test('health tells of connections in use, and of listeners that hear themselves', async () => {
  const db = await openDatabase({ url: database.url, applicationName: 'weaver health', maxConnections: 3 })
  const inUse = Promise.withResolvers<void>()
  const reading = db.read(() => inUse.promise)
  await vi.waitFor(() => expect(db.health().pools.read).toEqual({ open: 1, idle: 0, waiting: 0, most: 3 }))
  const more = [1, 2, 3].map(() => db.read(() => inUse.promise))
  await vi.waitFor(() => expect(db.health().pools.read).toEqual({ open: 3, idle: 0, waiting: 1, most: 3 }))
  inUse.resolve()
  await Promise.all([reading, ...more])
  expect(db.health().pools.write.waiting).toBe(0)
  expect(db.health().listeners).toEqual([])

  let heard = 0
  const listener = await db.listen('weaver_test_health', { onNotify: () => heard++, onReady: () => {} })
  const health = () => db.health().listeners[0]
  await vi.waitFor(() => expect(health()?.roundTripMs).toEqual(expect.any(Number)))
  const first = health()
  expect(first).toMatchObject({ channel: 'weaver_test_health', connected: true, reconnects: 0 })
  await terminateOthers()
  await vi.waitFor(() => expect(health()).toMatchObject({ connected: true, reconnects: 1 }))
  await vi.waitFor(() => expect(health()?.heardAt).toBeGreaterThan(Number(first?.heardAt)))
  // What it tells itself is nobody else's business.
  expect(heard).toBe(0)
  await listener.close()
  expect(db.health().listeners).toEqual([])
  await db.close()
})

test('what is printed of a pool or of its connections tells no password', async () => {
  const url = new URL(database.url)
  const secret = 'printed-canary-0123456789'
  url.password = secret
  const pool = openOwnerPool(url.href, { maxConnections: 1 })
  expect(inspect(pool, { depth: 8, showHidden: false })).not.toContain(secret)
  const error = await pool.connect().then(
    (client) => {
      const shown = inspect(client, { depth: 8 })
      client.release()
      return shown
    },
    (failure: unknown) => inspect(failure, { depth: 8 }),
  )
  expect(error).not.toContain(secret)
  await pool.end()
})

test('opening names the server but never the password', async () => {
  const opening = openDatabase({ url: 'postgres://weaver:s3cret@127.0.0.1:1/nowhere', applicationName: 'test' })
  const error = await opening.catch((caught: Error) => caught)
  expect(String(error)).toMatch(/^Error: Postgres at 127\.0\.0\.1:1\/nowhere does not serve Weaver: .*ECONNREFUSED/)
  expect(String(error)).not.toContain('s3cret')
  expect(describeUrl('postgres://u:p@db.example/weaver')).toBe('db.example:5432/weaver')
})
