import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Secret } from '../../../db/secrets.ts'
import type { VenueWorld } from '../venue.ts'
import { adapterIds, createVenues, variablePrefix } from './venues.ts'

let dir: string
const lines: string[] = []
const log: VenueWorld['log'] = (level, fields, message) => {
  lines.push(`${level} ${JSON.stringify(fields)} ${message}`)
}
const world = { log } as VenueWorld

const VENUE = `
let opened = 0
export default {
  id: 'good',
  modes: ['paper', 'live'],
  settings(env, mode) {
    const key = env['GOOD_' + mode.toUpperCase() + '_API_KEY']
    if (key === 'wrong') throw new Error('GOOD_LIVE_API_KEY is no key')
    return key === undefined ? null : { key }
  },
  address: (settings, mode) => ({ host: mode + '.good.example', custom_host: true, doubts: [] }),
  async open(settings, mode) {
    opened += 1
    if (opened === 1 && settings.key === 'fails once') throw new Error('not now')
    return { exchange: 'good', mode, opened, key: settings.key, async close() { globalThis.closedVenues = (globalThis.closedVenues ?? 0) + 1 } }
  },
}
`

beforeEach(async () => {
  lines.length = 0
  dir = await mkdtemp(join(tmpdir(), 'weaver-venues-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

async function adapter(id: string, text: string): Promise<void> {
  await mkdir(join(dir, id), { recursive: true })
  await writeFile(join(dir, id, 'index.ts'), text)
}

test('adapters are found by scanning, and one that does not load is named while the rest works', async () => {
  await adapter('good', VENUE)
  await adapter('broken', 'throw new Error("no such luck")')
  await adapter(
    'other',
    "export default { id: 'another', modes: [], settings: () => null, address: () => null, open: () => null }",
  )
  await adapter('partial', 'export default { id: "partial" }')
  await writeFile(join(dir, 'notes.txt'), '')
  const venues = await createVenues({ dir, world, settings: { GOOD_PAPER_API_KEY: new Secret('paper secret key') } })
  expect(adapterIds(dir)).toEqual(['broken', 'good', 'other', 'partial'])
  expect(venues.configured()).toEqual([{ exchange: 'good', mode: 'paper' }])
  expect(venues.known()).toEqual([
    {
      ...{ exchange: 'good', modes: ['paper', 'live'], configured: ['paper'], problems: [] },
      accounts: [{ mode: 'paper', host: 'paper.good.example', custom_host: true, doubts: [] }],
    },
    {
      exchange: 'broken',
      modes: [],
      configured: [],
      problems: ['the adapter does not load: no such luck'],
      accounts: [],
    },
    {
      exchange: 'other',
      modes: [],
      configured: [],
      problems: ['the adapter does not load: its id is another, and its folder other: they must be the same'],
      accounts: [],
    },
    {
      exchange: 'partial',
      modes: [],
      configured: [],
      problems: ['the adapter does not load: index.ts must export a VenueDefinition by default'],
      accounts: [],
    },
  ])
  expect(await venues.get('good', 'paper')).toMatchObject({ key: 'paper secret key' })
})

test('a venue is opened once, and one without credentials is refused in words', async () => {
  await adapter('good', VENUE)
  const venues = await createVenues({ dir, world, settings: { GOOD_PAPER_API_KEY: 'key', GOOD_LIVE_API_KEY: 'wrong' } })
  const [one, two] = await Promise.all([venues.get('good', 'paper'), venues.get('good', 'paper')])
  expect(one).toBe(two)
  await expect(venues.get('good', 'live')).rejects.toMatchObject({
    name: 'VenueError',
    kind: 'unauthorised',
    message: 'good is not configured for live trading; its live settings: GOOD_LIVE_API_KEY is no key',
  })
  await expect(venues.get('nowhere', 'live')).rejects.toMatchObject({ message: 'there is no exchange nowhere' })
  expect(lines).toEqual(['error {"exchange":"good"} its live settings: GOOD_LIVE_API_KEY is no key'])
  await venues.close()
  expect((globalThis as { closedVenues?: number }).closedVenues).toBe(1)
})

test('a venue that could not be opened is opened by the next who asks', async () => {
  await adapter('good', VENUE)
  const venues = await createVenues({ dir, world, settings: { GOOD_PAPER_API_KEY: 'fails once' } })
  await expect(venues.get('good', 'paper')).rejects.toThrow('not now')
  expect(await venues.get('good', 'paper')).toMatchObject({ opened: 2 })
})

test('without any adapter there is nothing, and no error', async () => {
  const venues = await createVenues({ dir: join(dir, 'nothing'), world, settings: {} })
  expect([venues.configured(), venues.known()]).toEqual([[], []])
})

test('the variables of an adapter begin with its id', () => {
  expect([variablePrefix('alpaca'), variablePrefix('two-words')]).toEqual(['ALPACA_', 'TWO_WORDS_'])
})
