/** A Postgres server of one's own in a temporary directory, to be stopped, killed and started again at will. */
import { type ChildProcess, spawn } from 'node:child_process'
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Cluster, prepareCluster, readPostmaster, startServer, stopServer, urlOf } from '../../db/cluster.ts'

export interface OwnPostgres {
  cluster: Cluster
  port: number
  url(database: string): string
  /** Of the postmaster; 0 when there is none. */
  pid(): Promise<number>
  start(): Promise<void>
  stop(mode?: 'fast' | 'immediate'): Promise<void>
  /** Ends it and removes all that is left of it. */
  remove(): Promise<void>
}

/** `within`: an existing directory instead of one below the system's for temporary files. */
export async function startOwnPostgres(settings: Record<string, string>, within?: string): Promise<OwnPostgres> {
  const home = await mkdtemp(join(within ?? tmpdir(), 'weaver-test-'))
  // As root the server runs as another user, who must get in.
  await chmod(home, 0o755)
  const cluster = await prepareCluster(join(home, 'postgres'))
  const watchdog = endWithUs(cluster, home)
  const port = await startServer(cluster, settings)
  return {
    cluster,
    port,
    url: (database) => urlOf(cluster, port, database),
    pid: async () => (await readPostmaster(cluster))?.pid ?? 0,
    async start() {
      const now = await startServer(cluster, settings)
      if (now !== port) throw new Error(`Postgres came back on port ${now} instead of ${port}`)
    },
    stop: (mode = 'immediate') => stopServer(cluster, mode),
    async remove() {
      watchdog.kill()
      await stopServer(cluster, 'immediate').catch(() => {})
      await rm(home, { recursive: true, force: true })
    },
  }
}

/** Outlives a test run that is killed, to end the server after it. */
function endWithUs({ data }: Cluster, home: string): ChildProcess {
  const watchdog = spawn(
    '/bin/sh',
    [
      '-c',
      'while kill -0 "$1" 2>/dev/null; do sleep 1; done; kill -QUIT "$(head -n 1 "$2")"; sleep 1; rm -rf "$3"',
      ...['sh', String(process.pid), join(data, 'postmaster.pid'), home],
    ],
    { detached: true, stdio: 'ignore', cwd: '/' },
  )
  watchdog.unref()
  return watchdog
}
