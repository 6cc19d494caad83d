/** The strategies that there are, as they describe themselves, each asked in a host and remembered by its source's hash. */
import type { Given, Resolved } from './definition.ts'
import { discover, type LoadError, type StrategySource } from './discover.ts'
import { HostLost } from './failure.ts'
import type { Description } from './host_load.ts'
import type { HostPool } from './host_pool.ts'
import { scanStrategies } from './scan.ts'
import { materialise } from './sources.ts'

export interface CatalogItem extends Description {
  path: string
}

export interface Found {
  item: CatalogItem
  source: StrategySource
}

export interface Catalog {
  list(): Promise<{ items: CatalogItem[]; errors: LoadError[] }>
  /** Null when there is no such strategy, or two of that id. */
  find(id: string): Promise<Found | null>
  /** The strategy's parameters with defaults, or what is wrong with them. Null as for `find`. */
  resolve(id: string, given: Given): Promise<(Found & { resolved: Resolved }) | null>
}

export interface CatalogOptions {
  strategiesDir: string
  dataDir: string
  hosts: HostPool
  now: () => number
  /** Longest that a file may take to load and to describe itself. */
  describeTimeoutMs?: number
}

const DESCRIBE_TIMEOUT_MS = 10_000
/** Of which all but the last were lost. */
const HOSTS_ASKED = 3
/** A file that failed is tried again after this time: the machine may have been busy. */
const RETRY_AFTER_MS = 60_000
/** Descriptions remembered; older ones are asked for again. */
const MAX_REMEMBERED = 10_000

type Told =
  | { ok: true; description: Description }
  /** `late`: it took too long, which may have been the machine. */
  | { ok: false; message: string; at: number; late: boolean }

export function createCatalog(options: CatalogOptions): Catalog {
  const { hosts, now, dataDir, describeTimeoutMs: timeoutMs = DESCRIBE_TIMEOUT_MS } = options
  const remembered = new Map<string, Promise<Told>>()

  const request = requester(hosts, timeoutMs)
  const ask = async (source: StrategySource): Promise<Told> => {
    const began = now()
    try {
      const entry = await materialise(source, dataDir)
      return { ok: true, description: (await request('describe', { entry })) as Description }
    } catch (error) {
      // Says nothing about the file.
      if (error instanceof HostLost) throw error
      const at = now()
      return {
        ok: false,
        message: error instanceof Error ? error.message : String(error),
        at,
        late: at - began >= timeoutMs,
      }
    }
  }
  const describe = async (source: StrategySource, patiently: boolean): Promise<Told> => {
    const key = `${source.hash} ${source.entry}`
    const known = await remembered.get(key)?.catch(() => null)
    const isOld = known && !known.ok && (now() - known.at >= RETRY_AFTER_MS || (patiently && known.late))
    if (known && !isOld) return known
    const told = ask(source)
    if (remembered.size >= MAX_REMEMBERED) remembered.clear()
    remembered.set(key, told)
    return told
  }
  const load = async (patiently = false): Promise<{ found: Found[]; errors: LoadError[] }> => {
    const { files, errors: unread } = await scanStrategies(options.strategiesDir)
    const { sources, errors } = discover(files)
    const told = await Promise.all(sources.map((source) => describe(source, patiently)))
    const found: Found[] = []
    const failed = [...unread, ...errors]
    told.forEach((one, index) => {
      const source = sources[index] as StrategySource
      if (one.ok) found.push({ item: { ...one.description, path: source.entry }, source })
      else failed.push({ path: source.entry, message: one.message })
    })
    const { single, doubled } = withoutDoubles(found)
    const byPath = (one: LoadError, other: LoadError): number => (one.path < other.path ? -1 : 1)
    return { found: single, errors: [...failed, ...doubled].sort(byPath) }
  }
  /** One that is missing may be among those that took too long: they are asked once more before it is said to be missing. */
  const find = async (id: string): Promise<Found | null> => {
    const isWanted = ({ item }: Found) => item.id === id
    return (await load()).found.find(isWanted) ?? (await load(true)).found.find(isWanted) ?? null
  }

  return {
    async list() {
      const { found, errors } = await load()
      return { items: found.map(({ item }) => item).sort((one, other) => (one.id < other.id ? -1 : 1)), errors }
    },
    find,
    async resolve(id, given) {
      const found = await find(id)
      if (!found) return null
      const entry = await materialise(found.source, dataDir)
      return { ...found, resolved: (await request('resolve', { ...given, entry })) as Resolved }
    },
  }
}

/** A host that ended through no doing of the file says nothing about it: another one is asked. */
function requester(hosts: HostPool, timeoutMs: number) {
  return async (kind: 'describe' | 'resolve', body: object): Promise<unknown> => {
    for (let attempt = 1; ; attempt++) {
      try {
        return (await hosts.withHost((host) => host.request(kind, body, { timeoutMs }))).body
      } catch (error) {
        if (!(error instanceof HostLost) || attempt === HOSTS_ASKED) throw error
      }
    }
  }
}

/** Two files of one id: which one a run means would depend on luck, so neither is offered. */
function withoutDoubles(found: readonly Found[]): { single: Found[]; doubled: LoadError[] } {
  const single: Found[] = []
  const doubled: LoadError[] = []
  for (const one of found) {
    const others = found.filter((other) => other !== one && other.item.id === one.item.id)
    if (others.length === 0) single.push(one)
    else {
      const paths = others.map(({ item }) => item.path).join(', ')
      doubled.push({
        path: one.item.path,
        message: `has the same id ${one.item.id} as ${paths}: give one of them another`,
      })
    }
  }
  return { single, doubled }
}
