/** A parent whose host hangs: prints the host's process id and waits to be killed. */
import { fileURLToPath } from 'node:url'
import { createHostPool } from '../../jobs/marvin/host_pool.ts'

const pool = createHostPool({
  ...{ size: 1, entry: fileURLToPath(new URL('./host_probe.ts', import.meta.url)), readable: [], timeoutMs: 600_000 },
  ...{
    memoryLimitMb: 500,
    now: Date.now,
    sleep: (ms) => new Promise((done) => setTimeout(() => done(), ms)),
    log: console.error,
  },
})
await pool.withHost(async (host) => {
  await host.request('echo', null)
  const hanging = host.request('hang', null)
  console.log(host.pid)
  await hanging
})
