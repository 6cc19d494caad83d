import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import type { AddressInfo } from 'node:net'
import { SMTPServer } from 'smtp-server'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import { Secret } from '../../db/secrets.ts'
import { type Receiver, startReceiver } from '../../tests/support/receiver.ts'
import { type Channel, createChannels, type Message, signatureOf } from './channels.ts'

const NOW = Date.UTC(2026, 0, 2, 3, 4, 5, 678)
/** A busy machine is slow. */
const PATIENT_MS = 10_000
const SECRET = 'a-secret-of-the-webhook'
const TOKEN = '123456:ABCDEFGHIJKL'
const MESSAGE: Message = {
  id: '6f1d6a3a-9d6f-5d2c-8c57-0d8f3a1b2c3d',
  kind: 'halts',
  type: 'system.Halted',
  level: 'critical',
  title: 'Weaver is halted',
  text: 'Rule kill_switch, by a person.',
  run_id: null,
  order_id: null,
  mode: null,
  ts: '2026-01-02T03:04:05.000Z',
  url: 'http://127.0.0.1:8000',
}
const none = { webhook: null, telegram: null, mail: null }

let receiver: Receiver
beforeAll(async () => {
  receiver = await startReceiver()
})
beforeEach(() => {
  receiver.received.length = 0
  receiver.answers.length = 0
})
afterAll(() => receiver.close())

function webhook({
  secret = SECRET as string | null,
  url = `${receiver.url}/in?token=of-the-address`,
  timeoutMs = PATIENT_MS,
} = {}): Channel {
  const settings = {
    url: new Secret(url),
    host: new URL(url).host,
    secret: secret === null ? null : new Secret(secret),
  }
  return createChannels({ ...none, webhook: settings }, () => NOW, timeoutMs)[0] as Channel
}

test('a webhook gets the message, signed over the very bytes of its body, with the time and the id of the delivery', async () => {
  await webhook().send(MESSAGE)
  const [got] = receiver.received
  expect(got).toMatchObject({ method: 'POST', path: '/in?token=of-the-address' })
  expect(JSON.parse(got?.body ?? '')).toEqual(MESSAGE)
  const t = Math.floor(NOW / 1000)
  const v1 = createHmac('sha256', SECRET).update(`${t}.${got?.body}`).digest('hex')
  expect(got?.headers).toMatchObject({
    'content-type': 'application/json',
    'x-weaver-delivery': MESSAGE.id,
    'x-weaver-signature': `t=${t},v1=${v1}`,
  })
})

test('the signature is the one that OpenSSL gives', () => {
  // printf '1700000000.{}' | openssl dgst -sha256 -hmac key
  expect(signatureOf('key', 1_700_000_000, '{}')).toBe(
    't=1700000000,v1=9d713ed406bb7076d4123f0dc2c39d2df5c654ed4b0cd56b52c8b4c940bd63ae',
  )
})

test('without a secret nothing is signed', async () => {
  const channel = webhook({ secret: null })
  await channel.send(MESSAGE)
  expect(receiver.received[0]?.headers['x-weaver-signature']).toBeUndefined()
  expect(channel.target).toBe(`${new URL(receiver.url).host}, unsigned`)
})

test('a refusal, a redirect and silence are failures that say what they are, and no more', async () => {
  receiver.answers.push(500)
  await expect(webhook().send(MESSAGE)).rejects.toThrow(/^webhook: answered 500: not today$/)
  receiver.answers.push(() => ({ status: 307, headers: { location: `${receiver.url}/elsewhere` } }))
  await expect(webhook().send(MESSAGE)).rejects.toThrow(
    'webhook: answered 307: it leads elsewhere, and redirects are not followed: set the final address',
  )
  receiver.answers.push('hang')
  await expect(webhook({ timeoutMs: 100 }).send(MESSAGE)).rejects.toThrow('webhook: no answer in time')
  expect(receiver.received.map(({ path }) => path)).not.toContain('/elsewhere')
})

test('what an answer says is cut short, and holds no secret', async () => {
  receiver.answers.push(() => ({ status: 400, body: `${SECRET} ${'x'.repeat(10_000)}` }))
  const failure = await webhook()
    .send(MESSAGE)
    .catch((error: Error) => error)
  expect(String(failure)).toMatch(/^Error: webhook: answered 400: \[redacted\] x+$/)
  expect(String(failure).length).toBeLessThan(400)
  const gone = await startReceiver()
  await gone.close()
  const closed = await webhook({ url: `${gone.url}/in?token=of-the-address` })
    .send(MESSAGE)
    .catch(String)
  expect(closed).toMatch(/^Error: webhook: .*(ECONNREFUSED|refused)/s)
  expect(closed).not.toContain('of-the-address')
})

test('Telegram gets a plain text, and its token stands in no failure', async () => {
  const settings = { token: new Secret(TOKEN), chatId: '-100', baseUrl: receiver.url }
  const [telegram] = createChannels({ ...none, telegram: settings }, () => NOW, PATIENT_MS)
  await telegram?.send({ ...MESSAGE, text: 'y'.repeat(5_000) })
  const [got] = receiver.received
  const { text, ...rest } = JSON.parse(got?.body ?? '')
  expect(got?.path).toBe(`/bot${TOKEN}/sendMessage`)
  expect(rest).toEqual({ chat_id: '-100', link_preview_options: { is_disabled: true } })
  expect(text).toMatch(/^Weaver is halted\n\ny+…$/)
  expect(text).toHaveLength(4_000)
  receiver.answers.push(() => ({
    status: 400,
    body: JSON.stringify({ ok: false, description: `Bad Request at /bot${TOKEN}` }),
  }))
  await expect(telegram?.send(MESSAGE)).rejects.toThrow(
    'telegram: answered 400: {"ok":false,"description":"Bad Request at /bot[redacted]"}',
  )
})

test('a mail goes through a real mail server, to all, with one id however often it is sent', async () => {
  const mails: { from: string; to: string[]; text: string }[] = []
  const server = new SMTPServer({
    authOptional: true,
    disabledCommands: ['STARTTLS'],
    onAuth: ({ password }, _session, done) =>
      password === 'mail-password' ? done(null, { user: 'weaver' }) : done(new Error('Invalid login')),
    onData(stream, { envelope }, done) {
      let text = ''
      stream.on('data', (part: Buffer) => {
        text += part.toString()
      })
      stream.on('end', () => {
        const from = envelope.mailFrom === false ? '' : envelope.mailFrom.address
        mails.push({ from, to: envelope.rcptTo.map(({ address }) => address), text })
        done()
      })
    },
  })
  server.listen(0, '127.0.0.1')
  await once(server.server, 'listening')
  const { port } = server.server.address() as AddressInfo
  const mail = (password: string): Channel => {
    const url = new Secret(`smtp://weaver:${password}@127.0.0.1:${port}`)
    const settings = {
      url,
      host: `127.0.0.1:${port}`,
      from: 'weaver@example.org',
      to: ['a@example.org', 'b@example.org'],
    }
    return createChannels({ ...none, mail: settings }, () => NOW, PATIENT_MS)[0] as Channel
  }
  try {
    await mail('mail-password').send({ ...MESSAGE, title: 'Weaver is halted\nBcc: c@example.org' })
    expect(mails).toMatchObject([{ from: 'weaver@example.org', to: ['a@example.org', 'b@example.org'] }])
    expect(mails[0]?.text).toContain(`Message-ID: <${MESSAGE.id}@weaver>`)
    expect(mails[0]?.text).toContain('Subject: [Weaver] Weaver is halted Bcc: c@example.org')
    expect(mails[0]?.text).toContain('Rule kill_switch, by a person.')
    const refused = await mail('another-password').send(MESSAGE).catch(String)
    expect(refused).toMatch(/^Error: mail: .*Invalid login/)
    expect(refused).not.toContain('another-password')
  } finally {
    await new Promise<void>((resolve) => server.close(() => resolve()))
  }
})
