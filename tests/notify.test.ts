/** A whole Weaver that tells a webhook: what arrives, what comes again, what is given up, and that nobody waits for it. */
import { createHmac, randomUUID } from 'node:crypto'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { connectOwner } from '../db/client.ts'
import { append } from '../db/events/append.ts'
import type { NewEvent } from '../db/events/envelope.ts'
import { consumerHealth } from '../db/events/health.ts'
import { listJobs } from '../db/walle/queries/jobs.ts'
import { channelHealth } from '../db/walle/queries/notifications.ts'
import { type InProcess, openInProcess } from './support/in_process.ts'
import { type Receiver, startReceiver } from './support/receiver.ts'
import { until } from './support/until.ts'

const SECRET = 'a-secret-of-the-webhook'
const CORR = { corrId: randomUUID() }
let receiver: Receiver
let weaver: InProcess

beforeAll(async () => {
  receiver = await startReceiver()
  weaver = await openInProcess(
    {},
    { WEAVER_WEBHOOK_URL: `${receiver.url}/in`, WEAVER_WEBHOOK_SECRET: SECRET, WEAVER_NOTIFY_PER_MINUTE: '1000' },
  )
  await until('the consumer', async () => (await consumerHealth(weaver.system.db.reader)).some(isNotifications))
})
afterAll(async () => {
  await weaver.close()
  await receiver.close()
})
beforeEach(() => {
  receiver.received.length = 0
})

const isNotifications = ({ id, active }: { id: string; active: boolean }) => id === 'notifications' && active

async function asOwner(text: string): Promise<void> {
  const client = await connectOwner({ url: weaver.system.url, applicationName: 'weaver test owner' })
  try {
    await client.query(text)
  } finally {
    await client.end()
  }
}

/** Its pause is over. */
const hurry = () =>
  asOwner(`update graphile_worker._private_jobs set run_at = now() where run_at > now() and task_id =
    (select id from graphile_worker._private_tasks where identifier = 'glados.send_notification')`)

async function tell(message: string): Promise<void> {
  const id = randomUUID()
  const event: NewEvent = {
    ...{ id, type: 'system.Error', run_id: null, corr_id: id, causation_id: null, producer: 'glados' },
    ts: new Date().toISOString(),
    payload: { part: 'a test', message },
  }
  await weaver.system.db.write((tx) => append(tx, [event]))
}

const stored = async (text: string) =>
  (
    await weaver.system.db.reader.query<{ id: string; state: string; attempts: number; last_error: string | null }>(
      'select id, state, attempts, last_error from weaver.notifications where body like $1',
      [`%${text}%`],
    )
  )[0]
const inState = (text: string, state: string) =>
  until(`${text} ${state}`, async () => (await stored(text))?.state === state)

test('a halt and its end arrive, signed', async () => {
  await weaver.control.commands.halt({ rule: 'kill_switch', reason: 'prices look wrong', by: 'a test' }, CORR)
  await weaver.control.commands.resume('a test', CORR)
  await until('both', async () => (await channelHealth(weaver.system.db.reader))[0]?.counts.sent === 2)
  const told = receiver.received.map(({ body }) => JSON.parse(body))
  expect(told).toMatchObject([
    { type: 'system.Halted', level: 'critical', title: 'Weaver is halted', url: 'http://127.0.0.1:8000' },
    { type: 'system.Resumed', level: 'info', title: 'Weaver trades again' },
  ])
  expect(told[0].text).toContain('prices look wrong')
  for (const { headers, body } of receiver.received) {
    const [, t = '', v1 = ''] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['x-weaver-signature'])) ?? []
    expect(v1).toBe(createHmac('sha256', SECRET).update(`${t}.${body}`).digest('hex'))
    expect(headers['x-weaver-delivery']).toBe(JSON.parse(body).id)
  }
})

test('what a receiver that is down was to be told comes later, once each; meanwhile the log and the rest go on', async () => {
  receiver.answers.push(...Array(6).fill(503))
  for (const name of ['one', 'two', 'three']) await tell(`down ${name}`)
  await until('three failures', async () => receiver.answers.length === 3)
  await hurry()
  await until('three more', async () => receiver.answers.length === 0)
  expect((await consumerHealth(weaver.system.db.reader)).find(isNotifications)).toMatchObject({
    ...{ state: 'ok', lag: 0, lagLimit: null, failures: 0 },
  })
  const [health] = await channelHealth(weaver.system.db.reader)
  expect(health).toMatchObject({ channel: 'webhook', lastError: 'webhook: answered 503: not today' })
  expect(health?.counts.to_send).toBe(3)
  receiver.received.length = 0
  await hurry()
  for (const name of ['one', 'two', 'three']) await inState(`down ${name}`, 'sent')
  const ids = receiver.received.map(({ headers }) => headers['x-weaver-delivery'])
  expect(ids).toHaveLength(3)
  expect(new Set(ids)).toEqual(
    new Set([(await stored('down one'))?.id, (await stored('down two'))?.id, (await stored('down three'))?.id]),
  )
  expect(await channelHealth(weaver.system.db.reader)).toMatchObject([{ failingSeconds: null }])
})

test('after the last attempt it is a dead letter, which is no message of its own, and can be tried again', async () => {
  receiver.answers.push(500, 500)
  await tell('hopeless')
  await until('the first failure', async () => (await stored('hopeless'))?.attempts === 1)
  await asOwner('update graphile_worker._private_jobs set attempts = 14 where attempts = 1')
  await hurry()
  await inState('hopeless', 'failed')
  const dead = await until('the dead letter', async () => {
    const { items } = await listJobs(weaver.system.db.reader, { state: 'dead', page: 1, page_size: 10 })
    return items.find(({ task }) => task === 'glados.send_notification')
  })
  expect(dead.error).toBe('webhook: answered 500: not today')
  await tell('after it')
  await inState('after it', 'sent')
  expect(receiver.received.map(({ body }) => JSON.parse(body).type)).not.toContain('job.Failed')
  await weaver.control.commands.retryJob(dead.id, CORR)
  await inState('hopeless', 'sent')
  expect(receiver.received.filter(({ body }) => body.includes('hopeless'))).toHaveLength(3)
})
