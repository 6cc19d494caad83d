import { mkdir, mkdtemp, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { gunzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { loadConfig } from '../jobs/config/config.ts'
import { createTestApi } from '../tests/support/api.ts'
import { createTestDatabase, type TestDatabase } from '../tests/support/database.ts'
import type { ApiConfig } from './dependencies.ts'
import { SESSION_SECONDS } from './security.ts'
import { apiConfigOf } from './server.ts'

const KEY = 'a-key-of-this-test'
const OPEN: ApiConfig = {
  apiKey: null,
  hostAllowed: null,
  clientAllowed: null,
  proxyTrusted: null,
  corsOrigins: [],
  timezone: 'UTC',
}

let database: TestDatabase
beforeAll(async () => {
  database = await createTestDatabase()
})
afterAll(() => database.drop())

const withConfig = (changes: Partial<ApiConfig>, now = () => Date.now()) =>
  createTestApi(database.db, {
    config: { ...OPEN, ...changes },
    clock: { now, newId: () => '12345678-0000-4000-8000-000000000000', sleep: () => new Promise(() => {}) },
  })

test('with a key every route but health wants it', async () => {
  const { get } = withConfig({ apiKey: { reveal: () => KEY } })
  expect((await get('/healthz')).status).toBe(200)
  for (const path of [
    '/api/v1/runs',
    '/api/v1/nothing',
    '/readyz',
    '/metrics',
    '/openapi.json',
    '/docs',
    '/docs/swagger-ui.css',
  ]) {
    expect([path, (await get(path)).status]).toEqual([path, 401])
    expect([path, (await get(path, { 'x-api-key': `${KEY}x` })).status]).toEqual([path, 401])
    expect([path, (await get(path, { 'x-api-key': KEY })).status]).toEqual([path, path.includes('nothing') ? 404 : 200])
  }
})

test('the key opens a session of the browser, which ends by itself and cannot be forged', async () => {
  let now = Date.UTC(2024, 0, 1)
  const { get, post } = withConfig({ apiKey: { reveal: () => KEY } }, () => now)
  expect((await post('/api/v1/session', { key: 'wrong' })).status).toBe(401)
  expect((await post('/api/v1/session')).status).toBe(401)
  const answer = await post('/api/v1/session', { key: KEY })
  expect(answer.status).toBe(204)
  const cookie = answer.headers.get('set-cookie') ?? ''
  expect(cookie).toMatch(/; Path=\/; HttpOnly; SameSite=Strict$/)
  expect(cookie).not.toContain(KEY)
  const [pair = ''] = cookie.split(';')
  const read = async (value: string) => (await get('/api/v1/runs', { cookie: value })).status
  expect(await read(pair)).toBe(200)
  expect(await read(pair.replace(/=\d/, '=9'))).toBe(401)
  now += SESSION_SECONDS * 1000
  expect(await read(pair)).toBe(401)
})

test('on loopback only names of this machine are served', async () => {
  const { get } = withConfig({ hostAllowed: (name) => name === 'localhost' || name === '127.0.0.1' })
  expect((await get('/healthz', { host: 'localhost:8000' })).status).toBe(200)
  expect((await get('/healthz', { host: '127.0.0.1' })).status).toBe(200)
  expect((await get('/healthz', { host: 'evil.example:8000' })).status).toBe(403)
  expect((await get('/healthz', { host: 'a b' })).status).toBe(403)
})

test('an address that is not on the list is refused', async () => {
  const { app } = withConfig({ clientAllowed: (address) => address === '10.0.0.5' })
  const from = async (remoteAddress: string | undefined) =>
    (await app.request('/healthz', {}, { incoming: { socket: { remoteAddress } } })).status
  expect([await from('10.0.0.5'), await from('10.0.0.6'), await from(undefined)]).toEqual([200, 403, 403])
})

describe('behind a proxy', () => {
  const { clientAllowed, proxyTrusted } = apiConfigOf(
    loadConfig({ WEAVER_ALLOWED_IPS: '10.0.0.5', WEAVER_TRUSTED_PROXIES: '127.0.0.1,172.16.0.0/12,fd00::/8' }),
  )
  const PROXY = '::ffff:127.0.0.1'
  const STRANGER = '192.168.1.9'
  const asked = async (config: Partial<ApiConfig>, remoteAddress: string, headers: Record<string, string>) => {
    const { app } = withConfig(config)
    return app.request('/healthz', { headers }, { incoming: { socket: { remoteAddress } } })
  }

  test.each([
    ['whom the proxy heard counts', PROXY, '10.0.0.5', 200],
    ['and not the proxy', PROXY, '10.0.0.6', 403],
    ['behind several, the first that is none of them', PROXY, '10.0.0.5, fd00::7, 172.20.1.1', 200],
    ['what a stranger says of whom it heard is nothing', PROXY, '10.0.0.5, 192.168.1.9', 403],
    ['with a port', PROXY, '10.0.0.5:4711, [fd00::7]:80', 200],
    ['what is no address may not', PROXY, '10.0.0.5, unknown', 403],
    ['who is no proxy of ours speaks for itself', STRANGER, '10.0.0.5', 403],
    ['without a word of the proxy it is the proxy', PROXY, '', 403],
  ])('%s', async (_, peer, forwarded, status) => {
    const config = { apiKey: { reveal: () => KEY }, clientAllowed, proxyTrusted }
    expect((await asked(config, peer, { 'x-forwarded-for': forwarded })).status).toBe(status)
  })

  test.each(['forwarded', 'via', 'x-forwarded-for', 'x-forwarded-host', 'x-forwarded-proto', 'x-real-ip'])(
    'without a key what came through a proxy that nobody named is refused: %s',
    async (header) => {
      const refused = await asked({ proxyTrusted }, STRANGER, { [header]: '1.2.3.4' })
      expect([refused.status, ((await refused.json()) as { message: string }).message]).toEqual([
        403,
        expect.stringMatching(/^this came through a proxy, and without WEAVER_API_KEY .*WEAVER_TRUSTED_PROXIES/),
      ])
      expect((await asked({ proxyTrusted }, PROXY, { [header]: '1.2.3.4' })).status).toBe(200)
      expect((await asked({ apiKey: { reveal: () => KEY } }, STRANGER, { [header]: '1.2.3.4' })).status).toBe(200)
    },
  )

  test('the session is Secure where the browser came by https, and only a trusted proxy says so', async () => {
    const { app } = withConfig({ apiKey: { reveal: () => KEY }, proxyTrusted })
    const cookie = async (remoteAddress: string, proto: string) => {
      const headers = { 'content-type': 'application/json', 'x-forwarded-proto': proto }
      const init = { method: 'POST', body: JSON.stringify({ key: KEY }), headers }
      const answer = await app.request('/api/v1/session', init, { incoming: { socket: { remoteAddress } } })
      return (answer.headers.get('set-cookie') ?? '').includes('; Secure')
    }
    expect([await cookie(PROXY, 'https'), await cookie(PROXY, 'https, http'), await cookie(PROXY, 'http')]).toEqual([
      true,
      true,
      false,
    ])
    expect(await cookie(STRANGER, 'https')).toBe(false)
  })

  test('it may have a name of its own, where a key keeps pages of other names out', async () => {
    const hostAllowed = (name: string) => name === '127.0.0.1'
    const headers = { 'x-forwarded-for': '10.0.0.5', host: 'weaver.example' }
    const key = { apiKey: { reveal: () => KEY } }
    expect((await asked({ hostAllowed, proxyTrusted, ...key }, PROXY, headers)).status).toBe(200)
    expect((await asked({ hostAllowed, proxyTrusted, ...key }, STRANGER, headers)).status).toBe(403)
    expect((await asked({ hostAllowed, proxyTrusted }, PROXY, headers)).status).toBe(403)
  })
})

test('a page of another origin can change nothing, and reads only when it is listed', async () => {
  const { app, post } = withConfig({ corsOrigins: ['https://listed.example'] })
  const path = '/api/v1/runs/00000001-0000-4000-8000-000000000001/start'
  const refused = await post(path, undefined, { origin: 'https://evil.example' })
  expect(refused.status).toBe(403)
  expect((await post(path, undefined, { origin: 'null' })).status).toBe(403)
  expect((await post(path, undefined, { origin: 'http://localhost' })).status).toBe(500)
  expect((await post(path, undefined, { origin: 'https://listed.example' })).status).toBe(500)
  const preflight = { 'access-control-request-method': 'POST' }
  const allowed = async (method: string, origin: string) => {
    const { headers } = await app.request('/api/v1/runs', { method, headers: { origin, ...preflight } })
    return [headers.get('access-control-allow-origin'), headers.get('access-control-allow-credentials')]
  }
  for (const method of ['GET', 'OPTIONS']) {
    expect(await allowed(method, 'https://listed.example')).toEqual(['https://listed.example', 'true'])
    expect(await allowed(method, 'https://evil.example')).toEqual([null, null])
  }
  const { headers } = await withConfig({}).get('/api/v1/runs', { origin: 'https://evil.example' })
  expect([...headers.keys()].filter((name) => name.startsWith('access-control'))).toEqual([])
})

test('files of the page are served with their types, the page for every other path, and nothing from outside', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weaver-web-'))
  const build = join(folder, 'build')
  await mkdir(join(build, '_app/immutable'), { recursive: true })
  await writeFile(join(folder, 'secret.txt'), 'secret')
  await writeFile(join(build, '_app/immutable/a.js'), 'export {}')
  await writeFile(join(build, '200.html'), '<html><script>alert(1)</script><script src="/x.js"></script></html>')
  const { get } = createTestApi(database.db, { webRoot: pathToFileURL(`${build}/`) })
  const script = await get('/_app/immutable/a.js')
  expect(script.headers.get('content-type')).toBe('text/javascript; charset=utf-8')
  expect(script.headers.get('cache-control')).toBe('public, max-age=31536000, immutable')
  const again = await get('/_app/immutable/a.js', { 'if-none-match': script.headers.get('etag') ?? '' })
  expect(again.status).toBe(304)
  for (const path of ['/', '/runs/7', '/runs/new?strategy=a']) {
    const page = await get(path)
    expect([page.status, page.headers.get('content-type')]).toEqual([200, 'text/html; charset=utf-8'])
    // echo -n 'alert(1)' | openssl dgst -sha256 -binary | base64
    expect(page.headers.get('content-security-policy')).toContain(
      "script-src 'self' 'sha256-bhHHL3z2vDgxUt0W3dWQOrprscmda2Y5pLsLg4GF+pI='",
    )
  }
  for (const path of [
    '/_app/immutable/gone.js',
    '/../secret.txt',
    '/%2e%2e/secret.txt',
    '/..%2fsecret.txt',
    '/%00.js',
  ]) {
    expect([path, (await get(path)).status]).toEqual([path, 404])
  }
})

test('without a build the page says how to make one', async () => {
  const page = await createTestApi(database.db).get('/')
  expect(await page.text()).toContain('npm run web:build')
})

test('below /metrics is nothing, and that is said to programs', async () => {
  const { get } = createTestApi(database.db)
  const answer = await get('/metrics/x')
  expect(answer.status).toBe(404)
  expect(await answer.json()).toMatchObject({ code: 'NOT_FOUND' })
})

test('/docs/ is /docs', async () => {
  const { get } = createTestApi(database.db)
  const read = async (path: string) => {
    const answer = await get(path)
    return [answer.status, answer.headers.get('content-security-policy'), await answer.text()]
  }
  expect(await read('/docs/')).toEqual(await read('/docs'))
})

test('files and JSON above 1 KB are sent as gzip to who takes it, and nothing small', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'weaver-web-'))
  const script = 'export const x = 1\n'.repeat(200)
  await writeFile(join(folder, 'large.js'), script)
  await writeFile(join(folder, 'small.js'), 'export {}')
  await writeFile(join(folder, 'image.png'), new Uint8Array(5_000))
  const { get } = createTestApi(database.db, { webRoot: pathToFileURL(`${folder}/`) })
  const read = async (path: string, encoding = 'br, gzip') => {
    const answer = await get(path, { 'accept-encoding': encoding })
    expect(answer.status).toBe(200)
    const { headers } = answer
    return { encoding: headers.get('content-encoding'), vary: headers.get('vary'), answer }
  }
  const large = await read('/large.js')
  expect([large.encoding, large.vary]).toEqual(['gzip', 'Accept-Encoding'])
  expect(gunzipSync(await large.answer.arrayBuffer()).toString()).toBe(script)
  const description = await read('/openapi.json')
  expect(description.encoding).toBe('gzip')
  expect(JSON.parse(gunzipSync(await description.answer.arrayBuffer()).toString())).toMatchObject({ openapi: '3.1.0' })
  expect((await read('/api/v1/runs')).encoding).toBeNull()
  expect((await read('/small.js')).encoding).toBeNull()
  expect((await read('/image.png')).encoding).toBeNull()
  const plain = await read('/large.js', 'identity')
  expect([plain.encoding, plain.vary, await plain.answer.text()]).toEqual([null, 'Accept-Encoding', script])
})

test('the docs page needs nothing from another machine', async () => {
  const { get } = createTestApi(database.db)
  const html = await (await get('/docs')).text()
  const files = [...html.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, file]) => file ?? '')
  expect(files).toEqual(['/docs/swagger-ui.css', '/docs/swagger-ui-bundle.js', '/docs/open.js'])
  for (const file of files) expect([file, (await get(file)).status]).toEqual([file, 200])
})
