/**
 * Are the guards guarded? Each mutant takes one away; the stress that the whole Weaver passes must fail without it.
 * `MUTANT_SEEDS=20` tries each with as many seeds.
 */
import { afterAll, afterEach, beforeEach, expect, test } from 'vitest'
import * as realAppend from '../../db/events/append.ts'
import * as realOffsets from '../../db/events/offsets.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { type Change, mutateFunction, mutateSource, type SourceTree } from './mutate.ts'
import { stressConsumer } from './stress_consumer.ts'
import { stressLog } from './stress_log.ts'
import { stressQueue } from './stress_queue.ts'
import { stressRuns } from './stress_runs.ts'

type Stress = (url: string, seed: number, tree: SourceTree | null) => Promise<void>

const log: Stress = async (url, seed, tree) =>
  stressLog(url, seed, tree ? await tree.load<typeof realAppend>('db/events/append.ts') : realAppend)
const queue: Stress = (url, seed) => stressQueue(url, seed)
const consumer: Stress = async (url, seed, tree) =>
  stressConsumer(url, seed, tree ? await tree.load<typeof realOffsets>('db/events/offsets.ts') : realOffsets)

interface Mutant {
  is: string
  stress: Stress
  /** Of the database, or of a file. */
  function?: string
  file?: string
  changes: Change[]
}

const WINDOW = 'o.txid >= pg_snapshot_xmin(previous) and not pg_visible_in_snapshot(o.txid, previous)'

const MUTANTS: readonly Mutant[] = [
  {
    is: 'the sequencer goes by id > last',
    stress: log,
    function: 'sequence_outbox',
    changes: [{ from: WINDOW, to: 'o.id > (select coalesce(max(n.outbox_id), -1) from weaver.outbox_seq n)' }],
  },
  {
    is: 'the sequencer orders by transaction id',
    stress: log,
    function: 'sequence_outbox',
    changes: [{ from: 'over (order by o.id)', to: 'over (order by o.txid, o.id)' }],
  },
  {
    is: 'the sequencer does not lock its row',
    stress: log,
    function: 'sequence_outbox',
    changes: [{ from: 'from weaver.sequencer s for update', to: 'from weaver.sequencer s' }],
  },
  {
    is: 'append does not lock the runs',
    stress: log,
    file: 'db/events/append.ts',
    changes: [{ from: ' order by id for no key update', to: '' }],
  },
  {
    is: 'finish_job does not ask who holds the job',
    stress: queue,
    function: 'finish_job',
    changes: [{ from: ' and j.locked_by = worker and j.attempts = attempt', to: '' }],
  },
  {
    is: 'finish_job does not ask which attempt it is',
    stress: queue,
    function: 'finish_job',
    changes: [{ from: ' and j.attempts = attempt', to: '' }],
  },
  {
    is: 'living pools are taken over',
    stress: queue,
    function: 'take_over_dead_pools',
    changes: [{ from: 'if pg_try_advisory_xact_lock(pool.advisory_key) then', to: 'if true then' }],
  },
  {
    is: "a consumer's effect has a transaction of its own",
    stress: consumer,
    file: 'db/events/offsets.ts',
    changes: [{ from: 'await handle(tx, events)', to: 'await db.write((other) => handle(other, events))' }],
  },
  {
    is: 'two instances of a consumer work at once',
    stress: consumer,
    file: 'db/events/offsets.ts',
    changes: [{ from: 'for update skip locked', to: '' }],
  },
]

/** Half a minute until it is noticed: `WEAVER_ALL_FAULTS=1`. */
const SLOW_MUTANTS: readonly Mutant[] = [
  {
    is: 'claims are always granted',
    stress: stressRuns,
    file: 'db/events/claims.ts',
    changes: [{ from: 'return rows === 1', to: 'return rows >= 0' }],
  },
]

const RUN_MUTANTS: readonly Mutant[] = [
  {
    is: 'a chunk is stored wherever its run is by now',
    stress: stressRuns,
    file: 'jobs/backtest/jobs.ts',
    changes: [
      {
        from: 'if (played === null || locked.next_tick !== payload.next_tick) return null',
        to: 'if (played === null) return null',
      },
    ],
  },
]

const SEEDS = Array.from({ length: Number(process.env.MUTANT_SEEDS ?? '1') }, (_, n) => n + 1)
const LIMIT_MS = 60_000 * SEEDS.length
/** What a mutant breaks takes two at once, who may miss each other on a busy machine. */
const TRIES = [1, 2, 3, 4, 5]

let database: TestDatabase
const trees: SourceTree[] = []
beforeEach(async () => {
  database = await createTestDatabase()
})
afterEach(() => database.drop())
afterAll(async () => {
  for (const tree of trees) await tree.remove()
})

test.each([
  ['the log', log],
  ['the queue', queue],
  ['a consumer', consumer],
  ['doubled jobs', stressRuns],
] as const)(
  'the stress of %s passes with every guard in place',
  async (_name, stress) => {
    for (const seed of SEEDS) {
      await stress(database.url, seed, null)
      await database.drop()
      database = await createTestDatabase()
    }
  },
  LIMIT_MS,
)

test.each([...MUTANTS, ...RUN_MUTANTS, ...(process.env.WEAVER_ALL_FAULTS ? SLOW_MUTANTS : [])])(
  'it is noticed when $is',
  async ({ stress, function: name, file, changes }) => {
    const tree = file === undefined ? null : await mutateSource(file, changes)
    if (tree) trees.push(tree)
    let noticed: unknown = null
    for (const seed of TRIES) {
      if (name !== undefined) await mutateFunction(database.url, name, changes)
      noticed = await stress(database.url, seed, tree).then(
        () => null,
        (error: unknown) => error,
      )
      if (noticed !== null) break
      await database.drop()
      database = await createTestDatabase()
    }
    expect(noticed).toBeInstanceOf(Error)
  },
  60_000 * TRIES.length,
)
