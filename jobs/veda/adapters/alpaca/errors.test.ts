import { expect, test } from 'vitest'
import { failureOf } from './errors.ts'

const network = (message: string, code: string) =>
  new Error('fetch failed', { cause: Object.assign(new Error(message), { code }) })

test.each([
  ['a refused connection', network('connect ECONNREFUSED 127.0.0.1:1', 'ECONNREFUSED'), 'unavailable'],
  ['no way to the host', network('connect EHOSTUNREACH 10.0.0.1:443', 'EHOSTUNREACH'), 'unavailable'],
  ['no way to the host any more, while it answers', network('read EHOSTUNREACH', 'EHOSTUNREACH'), 'unclear'],
  ['no net any more, while it is written to', network('write ENETUNREACH', 'ENETUNREACH'), 'unclear'],
  ['a line that breaks', network('read ECONNRESET', 'ECONNRESET'), 'unclear'],
])('an order that meets %s', async (_what, error, kind) => {
  expect(await failureOf(error, true)).toMatchObject({ kind, status: null })
  expect(await failureOf(error, false)).toMatchObject({ kind: 'unavailable' })
})
