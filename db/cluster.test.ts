import { appendFileSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { type Cluster, trimLog } from './cluster.ts'

test("a server's log is cut while it goes on, and what it said before is kept once", async () => {
  const data = mkdtempSync(join(tmpdir(), 'weaver-log-'))
  const log = join(data, 'server.log')
  try {
    writeFileSync(log, 'short\n')
    await trimLog({ data } as Cluster)
    expect(readFileSync(log, 'utf8')).toBe('short\n')
    writeFileSync(log, 'x'.repeat(10_000_001))
    await trimLog({ data } as Cluster)
    expect([statSync(log).size, statSync(`${log}.old`).size]).toEqual([0, 10_000_001])
    appendFileSync(log, 'and on\n')
    await trimLog({ data } as Cluster)
    expect(readFileSync(log, 'utf8')).toBe('and on\n')
  } finally {
    rmSync(data, { recursive: true })
  }
})
