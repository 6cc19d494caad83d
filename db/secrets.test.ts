import { inspect } from 'node:util'
import * as fc from 'fast-check'
import { expect, test } from 'vitest'
import { protect, redact, redactError, redactJson, redactValue, Secret } from './secrets.ts'

const PASSWORD = 'p$w.*+?^(a|b)[c]/\\"%25 ü&=x'
const KEY = 'canary-key-$1-0123456789'
const DIGITS = '1234567890123456'
const url = new URL(`postgres://trader:${encodeURIComponent(PASSWORD)}@db.example:5432/weaver`)
const secrets = [new Secret(KEY), new Secret(url.href), new Secret(DIGITS)]

const spellings = (text: string): [string, string][] => [
  ['as it is', text],
  ['in an address', encodeURIComponent(text)],
  ['in an address, small letters', encodeURIComponent(text).replace(/%[0-9A-F]{2}/g, (sign) => sign.toLowerCase())],
  ['in a form', new URLSearchParams({ text }).toString().slice('text='.length)],
  ['in JSON', JSON.stringify(text).slice(1, -1)],
  ['in JSON in JSON', JSON.stringify(JSON.stringify(text)).slice(3, -3)],
  ['base64', Buffer.from(text).toString('base64')],
  ['base64url', Buffer.from(text).toString('base64url')],
  ['hex', Buffer.from(text).toString('hex')],
]

test.each([PASSWORD, KEY, url.href].flatMap(spellings))('a secret leaves no text, %s', (_, spelling) => {
  expect(redact(`before ${spelling} after`)).not.toContain(spelling)
  expect(redact(`before ${spelling} after`)).toMatch(/^before .*\[redacted\].* after$/)
})

test.each(['', 'x', 'xy', 'xyz'])('a secret leaves no basic authorization of user %j', (user) => {
  const sent = Buffer.from(`${user}:${KEY}`).toString('base64')
  const hidden = redact(`sent ${sent}`)
  const recovered = hidden.split(/[^A-Za-z0-9+/]+/).map((part) => Buffer.from(part, 'base64').toString('latin1'))
  expect(recovered.join(' ')).not.toContain(KEY.slice(3, -3))
})

test('wherever a secret stands in a text, the text loses it and nothing else', () => {
  const noise = fc.string({ unit: fc.constantFrom(...'abc xyz!?.,') })
  fc.assert(
    fc.property(noise, noise, fc.constantFrom(PASSWORD, KEY, url.href), (before, after, secret) => {
      expect(redact(`${before}<${secret}>${after}`)).toBe(`${before}<[redacted]>${after}`)
    }),
  )
})

test.each([
  ['postgres://u:short@h/d', 'postgres://u:[redacted]@h/d'],
  ['of postgresql://u:a@b@h:5/d failed', 'of postgresql://u:[redacted]@h:5/d failed'],
  ['host=h password=short user=u', 'host=h password=[redacted] user=u'],
  [`password='two words' user=u`, 'password=[redacted] user=u'],
  ['Authorization: Bearer abc.def', 'Authorization: [redacted]'],
  ['{"x-api-key":"abc","a":1}', '{"x-api-key":"[redacted]","a":1}'],
  ['{"cause":"{\\"password\\":\\"abc\\"}"}', '{"cause":"{\\"password\\":\\"[redacted]\\"}"}'],
  ['Cookie: weaver_session=1.abc', 'Cookie: [redacted]'],
  ['APCA-API-SECRET-KEY: abc', 'APCA-API-SECRET-KEY: [redacted]'],
  ['WEAVER_API_KEY=abc ALPACA_LIVE_API_SECRET=def', 'WEAVER_API_KEY=[redacted] ALPACA_LIVE_API_SECRET=[redacted]'],
  [
    'WEAVER_TELEGRAM_BOT_TOKEN=1:a WEAVER_SMTP_URL=b',
    'WEAVER_TELEGRAM_BOT_TOKEN=[redacted] WEAVER_SMTP_URL=[redacted]',
  ],
  ['WEAVER_WEBHOOK_URL=a WEAVER_HEARTBEAT_URL=b', 'WEAVER_WEBHOOK_URL=[redacted] WEAVER_HEARTBEAT_URL=[redacted]'],
])("what is somebody else's goes by its shape: %s", (text, clean) => {
  expect(redact(text)).toBe(clean)
  expect(redact(clean)).toBe(clean)
})

test.each([
  'password authentication failed for user "weaver"',
  'this needs the header X-API-Key',
  'http://127.0.0.1:8000/docs',
  'WEAVER_API_KEY must have at least 16 characters',
  'BTC/USD@2024-01-02T00:00:00Z',
])('what tells nothing stays: %s', (text) => expect(redact(text)).toBe(text))

test('a password that is short or the user itself is hidden where it stands as one, not wherever its letters do', () => {
  protect('postgres://weaver_user:weaver_user@h/d')
  protect('postgres://u:tiny@h/d')
  expect(redact('weaver_user is a tiny user')).toBe('weaver_user is a tiny user')
  expect(redact('postgres://weaver_user:weaver_user@h/d')).not.toContain('weaver_user@')
})

test('of JSON only the texts change: it stays JSON, and digits of a key stay a number', () => {
  const value = { a: Number(DIGITS), b: `x${DIGITS}`, c: [`${PASSWORD}`], [KEY]: null, ok: true }
  const clean = { a: Number(DIGITS), b: 'x[redacted]', c: ['[redacted]'], '[redacted]': null, ok: true }
  expect(JSON.parse(redactJson(JSON.stringify(value)))).toEqual(clean)
  const plain = '{"a" : 1}'
  expect(redactJson(plain)).toBe(plain)
})

test('what stands under the name of a secret is hidden, whatever it is', () => {
  const headers = { Authorization: 'Bearer x', 'x-api-key': ['y'], cookie: '', host: 'h' }
  expect(redactValue({ headers, config: { DATABASE_URL: 'z', apiKey: null, password: false } })).toEqual({
    headers: { Authorization: '[redacted]', 'x-api-key': '[redacted]', cookie: '', host: 'h' },
    config: { DATABASE_URL: '[redacted]', apiKey: null, password: false },
  })
})

test('an error keeps its name; one that tells nothing is itself', () => {
  const quiet = new TypeError('nothing')
  expect(redactError(quiet)).toBe(quiet)
  const told = redactError(new TypeError(`at ${url.href}`)) as Error
  expect([told.name, told.message]).toEqual(['TypeError', 'at [redacted]'])
  expect(told.stack).toContain('TypeError: at [redacted]')
})

test('a secret shows itself to nobody who does not ask for it', () => {
  const [secret] = secrets
  expect([String(secret), JSON.stringify({ secret }), inspect({ secret }), `${secret}`].join()).not.toContain(KEY)
  expect(secret?.reveal()).toBe(KEY)
})
