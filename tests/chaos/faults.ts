/** What is done to Weaver. Every choice comes from `random`, which comes from the seed. */
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { createSequencer } from '../../db/events/sequencer.ts'
import type { CommitFate, NotifyFate } from '../support/pg_proxy.ts'
import { pause } from '../support/until.ts'
import type { Member, Shape, World } from './world.ts'

export interface Chance {
  /** A whole number from 0 to `most` - 1. */
  pick(most: number): number
  between(low: number, high: number): number
  of<T>(list: readonly T[]): T
  chance(probability: number): boolean
}

export function chanceOf(random: () => number): Chance {
  const pick = (most: number) => Math.floor(random() * most)
  return {
    pick,
    between: (low, high) => low + pick(high - low + 1),
    of: (list) => list[pick(list.length)] as never,
    chance: (probability) => random() < probability,
  }
}

export interface Fault {
  name: string
  shapes: readonly Shape[]
  /** How often it is chosen, against the others. */
  weight: number
  /** Says what it did. Resolves when it is over: from then on Weaver can recover. */
  strike(world: World, chance: Chance): Promise<string>
}

const run = promisify(execFile)
const BOTH: readonly Shape[] = ['parts', 'start']
const PARTS: readonly Shape[] = ['parts']

function memberOf(world: World, chance: Chance, command?: Member['command']): Member {
  const wanted = world.members.filter((member) => command === undefined || member.command === command)
  return chance.of(wanted.length > 0 ? wanted : world.members)
}

function behindProxy(world: World, chance: Chance) {
  const member = memberOf(world, chance)
  if (member.proxy === null) throw new Error(`${member.name} has no proxy`)
  return { member, proxy: member.proxy }
}

function killing(command: 'worker' | 'api', signal: 'SIGKILL' | 'SIGTERM'): Fault['strike'] {
  return async (world, chance) => {
    const member = memberOf(world, chance, command)
    await member.end(signal)
    return `${signal} to ${member.name}`
  }
}

/** Processes below a member, such as its workers (`weaver.ts work`) and their strategy processes (`jobs/hosts/main.ts`). */
async function below(members: readonly Member[], what: string): Promise<number[]> {
  const { stdout } = await run('ps', ['-eo', 'pid=,ppid=,args='])
  const all = stdout.split('\n').map((line) => {
    const [, pid, parent, args = ''] = /^\s*(\d+)\s+(\d+)\s+(.*)$/.exec(line) ?? []
    return { pid: Number(pid), parent: Number(parent), args }
  })
  const found: number[] = []
  const look = (parent: number): void => {
    for (const child of all.filter((one) => one.parent === parent)) {
      if (child.args.includes(what)) found.push(child.pid)
      look(child.pid)
    }
  }
  for (const member of members) look(member.current().pid)
  return found.sort((one, other) => one - other)
}

/** Tells whether the process was there to hear it. */
function send(pid: number, signal: NodeJS.Signals): boolean {
  try {
    return process.kill(pid, signal)
  } catch {
    return false
  }
}

/** One below the members is killed, which whoever started it has to notice. */
function killingBelow(what: string, name: string): Fault['strike'] {
  return async (world, chance) => {
    const draw = chance.pick(1_000)
    const pids = await below(world.members, what)
    const pid = pids[draw % pids.length]
    if (pid === undefined || !send(pid, 'SIGKILL')) return `there is no ${name} to kill`
    return `SIGKILL to the ${name} ${pid}`
  }
}

export const FAULTS: readonly Fault[] = [
  { name: 'kill_worker', shapes: BOTH, weight: 5, strike: killing('worker', 'SIGKILL') },
  { name: 'kill_api', shapes: PARTS, weight: 2, strike: killing('api', 'SIGKILL') },
  { name: 'term_worker', shapes: BOTH, weight: 2, strike: killing('worker', 'SIGTERM') },
  { name: 'term_api', shapes: PARTS, weight: 1, strike: killing('api', 'SIGTERM') },
  {
    name: 'kill_workers',
    shapes: PARTS,
    weight: 1,
    async strike(world) {
      const workers = world.members.filter(({ command }) => command === 'worker')
      await Promise.all(workers.map((member) => member.end('SIGKILL')))
      return `SIGKILL to ${workers.length} workers at once`
    },
  },
  { name: 'kill_child', shapes: BOTH, weight: 4, strike: killingBelow('weaver.ts work', 'process of workers') },
  { name: 'kill_host', shapes: BOTH, weight: 2, strike: killingBelow('jobs/hosts/main.ts', 'strategy process') },
  {
    name: 'pause_worker',
    shapes: BOTH,
    weight: 2,
    async strike(world, chance) {
      const member = memberOf(world, chance, 'worker')
      const ms = chance.between(3_000, 10_000)
      const pids = [member.current().pid, ...(await below([member], 'weaver.ts work'))]
      for (const pid of pids) send(pid, 'SIGSTOP')
      await pause(ms)
      for (const pid of pids) send(pid, 'SIGCONT')
      return `${member.name} stood still for ${ms} ms`
    },
  },
  {
    name: 'kill_postgres',
    shapes: BOTH,
    weight: 2,
    async strike(world, chance) {
      const awayMs = chance.between(0, 2_000)
      const pid = await world.postgres.pid()
      if (pid > 0) process.kill(pid, 'SIGKILL')
      await pause(awayMs)
      await world.postgres.startAgain()
      return `SIGKILL to Postgres, away for ${awayMs} ms`
    },
  },
  {
    name: 'restart_postgres',
    shapes: PARTS,
    weight: 2,
    async strike(world) {
      await world.postgres.restart()
      return 'Postgres restarted at once'
    },
  },
  {
    name: 'kill_backends',
    shapes: BOTH,
    weight: 3,
    async strike(world, chance) {
      const share = chance.of([0.2, 0.5, 1])
      const cut = await world.ownerQuery<{ pid: number }>(
        `select pid from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()
           and application_name not like 'weaver chaos%' order by pid`,
      )
      const chosen = cut.filter(() => chance.chance(share)).map(({ pid }) => pid)
      if (chosen.length > 0) {
        await world.ownerQuery(`select pg_terminate_backend(pid) from unnest(array[${chosen}]) as pid`)
      }
      return `${chosen.length} of ${cut.length} connections terminated by the server`
    },
  },
  {
    name: 'unknown_commit',
    shapes: PARTS,
    weight: 3,
    async strike(world, chance) {
      const { member, proxy } = behindProxy(world, chance)
      const before = proxy.lostCommits
      proxy.onCommit = (): CommitFate => {
        if (!chance.chance(0.3)) return 'pass'
        return chance.chance(0.5) ? 'lose_answer' : 'lose_commit'
      }
      await pause(chance.between(500, 2_000))
      proxy.onCommit = () => 'pass'
      return `${proxy.lostCommits - before} commits of ${member.name} without an answer`
    },
  },
  {
    name: 'notify',
    shapes: PARTS,
    weight: 1,
    async strike(world, chance) {
      const { member, proxy } = behindProxy(world, chance)
      const fates: NotifyFate[] = [
        { copies: 0, delayMs: 0 },
        { copies: 3, delayMs: 0 },
        { copies: 1, delayMs: 700 },
      ]
      proxy.onNotify = () => chance.of(fates)
      await pause(chance.between(1_000, 3_000))
      proxy.onNotify = () => ({ copies: 1, delayMs: 0 })
      return `notifications to ${member.name} lost, tripled and late`
    },
  },
  {
    name: 'cut',
    shapes: PARTS,
    weight: 2,
    async strike(world, chance) {
      const { member, proxy } = behindProxy(world, chance)
      proxy.cut()
      return `all connections of ${member.name} to Postgres cut`
    },
  },
  {
    name: 'half_open',
    shapes: PARTS,
    weight: 1,
    async strike(world, chance) {
      const { member, proxy } = behindProxy(world, chance)
      const ms = chance.between(2_000, 6_000)
      proxy.freeze()
      await pause(ms)
      proxy.thaw()
      return `nothing between ${member.name} and Postgres got through for ${ms} ms`
    },
  },
  {
    name: 'two_sequencers',
    shapes: BOTH,
    weight: 1,
    async strike(world) {
      const second = createSequencer({ db: world.db, sleep: pause, onError: () => {} })
      let numbered = 0
      for (let round = 0; round < 150; round++) {
        numbered += await second.runOnce().then(
          (done) => done.numbered,
          () => 0,
        )
      }
      return `a second sequencer numbered ${numbered} events beside the first`
    },
  },
]

export function faultsFor(shape: Shape, only: readonly string[]): Fault[] {
  const chosen = FAULTS.filter(
    ({ name, shapes }) => shapes.includes(shape) && (only.length === 0 || only.some((start) => name.startsWith(start))),
  )
  if (chosen.length === 0) throw new Error(`no fault of ${FAULTS.map(({ name }) => name).join(', ')} is ${only}`)
  return chosen
}

export function drawFault(faults: readonly Fault[], chance: Chance): Fault {
  let left = chance.pick(faults.reduce((sum, { weight }) => sum + weight, 0))
  for (const fault of faults) {
    left -= fault.weight
    if (left < 0) return fault
  }
  return faults[0] as Fault
}
