/** A strategy host whose requests misbehave as strategies do. */
import process from 'node:process'
import { type HostHandler, serve } from '../../jobs/marvin/host_io.ts'

const sum: HostHandler = (body, columns, io) => {
  const close = columns.close ?? new Float64Array(0)
  const result = close.map((value) => value * (body as { times: number }).times)
  const total = result.reduce((left, right) => left + right, 0)
  const more = io.callParent('more', { sum: total }, { part: close.subarray(0, 1) })
  const bonus = (more.body as { bonus: number }).bonus
  return {
    body: { sum: total + bonus },
    columns: { result: Float64Array.from([...result, ...(more.columns.more ?? [])]) },
  }
}

const handlers: Record<string, HostHandler> = {
  sum,
  echo: (body, columns) => ({ body, columns }),
  throw: (_body, _columns, io) => {
    io.heartbeat({ bar_index: 7 })
    throw new TypeError('broken')
  },
  hang: (_body, _columns, io) => {
    io.heartbeat({ bar_index: 41 })
    for (;;);
  },
  leak: (_body, _columns, io) => {
    io.heartbeat({ bar_index: 5 })
    const kept: Float64Array[] = []
    for (let count = 0; count < 40; count++) kept.push(new Float64Array(1_000_000).fill(count))
    for (;;) kept.reverse()
  },
  heap: () => {
    const kept: string[] = []
    for (;;) kept.push(`a text that is kept ${kept.length}`)
  },
  exit: () => process.exit(3),
}

await serve(handlers)
