import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { FAST_DAYS, FAST_ORIGIN, realNow } from '../support/fast_days.ts'
import { startWeaver } from '../support/weaver.ts'

const OUTPUT = new URL('../output/', import.meta.url).pathname
const PATIENCE_MS = 60_000
const BARS = 2_000
const SYMBOL = 'WAVE/USD'
const PHONE_PATHS = [
  ...[
    '/runs',
    '/runs/new',
    '/runs/new?mode=live',
    '/strategies',
    '/accounts',
    '/alerts',
    '/data',
    '/about',
    '/no-such-page',
  ],
]

function findChromium(): string | null {
  const given = process.env.CHROMIUM_PATH
  if (given) return given
  try {
    return execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim() || null
  } catch {
    return null
  }
}

/** Hourly bars along a sine, so that two averages cross about every 50 bars. */
function waveCsv(): string {
  const start = Date.parse('2026-01-01T00:00:00Z')
  const price = (i: number) => 100 + 10 * Math.sin(i / 16)
  const rows = Array.from({ length: BARS }, (_, i) => {
    const [open, close] = [price(i), price(i + 1)]
    const [high, low] = [Math.max(open, close) + 0.5, Math.min(open, close) - 0.5]
    const time = new Date(start + i * 3_600_000).toISOString()
    return [time, open.toFixed(4), high.toFixed(4), low.toFixed(4), close.toFixed(4), '10'].join(',')
  })
  return ['timestamp,open,high,low,close,volume', ...rows].join('\n')
}

const chromiumPath = findChromium()

describe.skipIf(chromiumPath === null)('Haro in a browser (needs Chromium on PATH or in CHROMIUM_PATH)', () => {
  let weaver: Awaited<ReturnType<typeof startWeaver>>
  let browser: Browser
  const problems: string[] = []

  async function open(path: string, options: { width?: number } = {}): Promise<Page> {
    const context = await browser.newContext({
      colorScheme: 'light',
      viewport: { width: options.width ?? 1280, height: 900 },
    })
    const page = await context.newPage()
    page.setDefaultTimeout(PATIENCE_MS)
    page.on('pageerror', (error) => problems.push(`${path}: ${error.message}`))
    page.on('console', (message) => {
      if (message.text().includes('Content Security Policy')) problems.push(`${path}: ${message.text()}`)
    })
    await page.goto(new URL(path, weaver.url).href)
    return page
  }

  beforeAll(async () => {
    mkdirSync(OUTPUT, { recursive: true })
    // Its paper runs live ten times as fast.
    weaver = await startWeaver({ [FAST_ORIGIN]: String(realNow()) }, ['--import', FAST_DAYS])
    browser = await chromium.launch({
      executablePath: chromiumPath ?? '',
      args: [
        '--headless',
        '--no-sandbox',
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    })
  }, 120_000)

  afterAll(async () => {
    await browser?.close()
    await weaver?.stop()
  })

  test('a backtest made by the form shows up in an open list and in its own page', { timeout: 180_000 }, async () => {
    const data = await open('/data')
    const importing = data.getByRole('form', { name: 'Import candles' })
    await importing
      .getByLabel('File')
      .setInputFiles({ name: 'wave.csv', mimeType: 'text/csv', buffer: Buffer.from(waveCsv()) })
    await importing.getByLabel('Symbol').fill(SYMBOL)
    await importing.getByLabel('Timeframe').selectOption('1h')
    await importing.getByRole('button', { name: 'Import' }).click()
    await data.getByText(`${BARS.toLocaleString('en-US')} stored`).waitFor()

    const list = await open('/runs')
    await list.locator('[data-live="live"]').waitFor()
    await list.evaluate(() => {
      document.body.dataset.kept = 'yes'
    })

    const form = await open(`/runs/new?strategy=sma_cross&symbol=${encodeURIComponent(SYMBOL)}&timeframe=1h`)
    await form.getByLabel('Symbols').waitFor()
    expect(await form.getByLabel('Symbols').inputValue()).toBe(SYMBOL)
    expect(await form.getByLabel('Start (UTC)').inputValue()).toBe('2026-01-01T00:00')
    await form.getByLabel('fast', { exact: true }).fill('0')
    await form.getByRole('button', { name: 'Run backtest' }).click()
    await form.getByText('Must be 1 or more.').waitFor()
    await form.getByLabel('fast', { exact: true }).fill('5')
    await form.getByLabel('slow', { exact: true }).fill('20')
    await form.getByLabel('Label', { exact: true }).fill('Wave from the form')
    await form.getByRole('button', { name: 'Run backtest' }).click()
    await form.waitForURL(/\/runs\/[0-9a-f-]{36}$/)
    const id = new URL(form.url()).pathname.split('/').at(-1) ?? ''

    await list.locator(`[data-run="${id}"][data-status="completed"]`).waitFor()
    expect(await list.evaluate(() => document.body.dataset.kept)).toBe('yes')
    await list.screenshot({ path: `${OUTPUT}haro-runs.png` })

    await form.locator('[data-run-status="completed"]').waitFor()
    const chart = form.locator('[data-chart]')
    await form.locator('[data-chart] canvas').first().waitFor()
    // Bars, curve and fills come by answers of their own.
    await form.waitForFunction(() => {
      const shown = document.querySelector<HTMLElement>('[data-chart]')?.dataset
      return Number(shown?.drawn) > 100 && Number(shown?.equity) > 100 && Number(shown?.markers) > 10
    })
    expect(Number(await chart.getAttribute('data-bars'))).toBeGreaterThan(100)
    expect(await chart.getAttribute('aria-label')).toMatch(/^WAVE\/USD went from .+ fills\.$/)

    const trades = Number((await form.locator('[data-stat="total_trades"] dd').textContent())?.trim())
    expect(trades).toBeGreaterThan(10)
    expect(await form.locator('[data-stat="final_equity"] dd').textContent()).toMatch(/^\d{1,3}(,\d{3})*\.\d{2}$/)
    await form.locator('[data-order]').first().waitFor()
    expect(await form.locator('[data-order]').count()).toBeGreaterThan(10)
    await form.screenshot({ path: `${OUTPUT}haro-run.png`, fullPage: true })

    await form.getByRole('link', { name: 'How this buy order came about' }).first().click()
    await form.locator('[data-hop="orders.Filled"]').waitFor()
    expect(await form.locator('[data-hop]').count()).toBe(11)
    await form.getByText('derived by playing it again').waitFor()
    await form.screenshot({ path: `${OUTPUT}haro-trace.png` })
    await form.getByRole('link', { name: 'To its run' }).click()

    await form.getByRole('link', { name: 'Configuration' }).click()
    await form.getByRole('button', { name: 'Copy result hash' }).waitFor()
    expect(new URL(form.url()).searchParams.get('tab')).toBe('record')
  })

  async function post<Body = Record<string, unknown>>(path: string, body: object = {}): Promise<Body> {
    const answer = await fetch(`${weaver.url}/api/v1${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    })
    return (await answer.json()) as Body
  }

  /** One that buys at its first tick. */
  async function startPaperRun(): Promise<string> {
    const request = { strategy_id: 'buy_and_hold', mode: 'paper', exchange: 'sim', symbols: ['PAGE/USD'] }
    const { id } = await post<{ id: string }>('/runs', { ...request, timeframe: '1m' })
    await post(`/runs/${id}/start`)
    return id
  }

  test('a paper run made by the form ticks, and its order shows up in the open page', {
    timeout: 120_000,
  }, async () => {
    const page = await open('/runs/new?strategy=buy_and_hold&symbol=FORM%2FUSD')
    await page.getByRole('radio', { name: 'PAPER' }).check()
    expect(await page.getByLabel('Exchange', { exact: true }).inputValue()).toBe('sim')
    await page.getByLabel('Timeframe').selectOption('1m')
    await page.getByLabel('Label', { exact: true }).fill('Paper from the form')
    await page.getByLabel('Largest position').fill('-1')
    await page.getByRole('button', { name: 'Start paper run' }).click()
    await page.getByText('Enter a number above 0').waitFor()
    await page.getByLabel('Largest position').fill('5')
    await page.getByRole('button', { name: 'Start paper run' }).click()
    await page.locator('[data-run-status="running"]').waitFor()
    await page.evaluate(() => {
      document.body.dataset.kept = 'yes'
    })
    await page.locator('[data-account-state="ready"]').waitFor()
    await page.locator('[data-position="FORM/USD"]').waitFor()
    await page.locator('[data-order]').waitFor()
    await page.locator('[data-last-tick]').waitFor()
    expect(await page.evaluate(() => document.body.dataset.kept)).toBe('yes')
    await page.screenshot({ path: `${OUTPUT}haro-paper.png`, fullPage: true })
    await page.getByRole('link', { name: 'Decisions' }).click()
    // One, of which the page may be drawing a newer row just now.
    await expect
      .poll(() => page.locator('[data-decision="acted"]').allTextContents(), { timeout: PATIENCE_MS })
      .toEqual([expect.stringContaining('buy 1 FORM/USD market')])

    await page.getByRole('button', { name: 'Stop', exact: true }).click()
    await page.getByLabel('Close its positions').check()
    await page.getByRole('button', { name: 'Stop the run' }).click()
    await page.locator('[data-run-status="stopped"]').waitFor()
    await page.getByText('It holds nothing.').waitFor()
    await page.context().close()
  })

  test('a halt from the page is told on every page and closes the order path until somebody resumes', {
    timeout: 120_000,
  }, async () => {
    const other = await open('/accounts', { width: 360 })
    await other.locator('[data-account="sim paper"]').waitFor()
    await other.locator('[data-live="live"]').waitFor()
    const page = await open('/runs')
    await page.getByRole('button', { name: 'Halt' }).focus()
    await page.keyboard.press('Enter')
    await page.getByLabel('Reason').fill('prices look wrong')
    await page.getByLabel('Your name').fill('Eve')
    await page.keyboard.press('Enter')
    const banner = other.locator('[data-halted]')
    await banner.waitFor()
    expect(await banner.textContent()).toMatch(/HALTED: prices look wrong.+By Eve/s)
    expect(await other.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0)
    await other.screenshot({ path: `${OUTPUT}haro-halted-phone.png` })
    await page.reload()
    await page.locator('[data-halted]').waitFor()

    await page.goto(`${weaver.url}/runs/${await startPaperRun()}`)
    await page.locator('[data-order]').waitFor()
    expect(await page.locator('[data-order]').textContent()).toMatch(/rejected.*halt/)

    await other.getByRole('button', { name: 'Resume', exact: true }).click()
    await other.getByRole('button', { name: 'Resume trading' }).click()
    await page.locator('[data-halted]').waitFor({ state: 'detached' })
    await page.goto(`${weaver.url}/runs/${await startPaperRun()}`)
    await page.locator('[data-position="PAGE/USD"]').waitFor()
    await page.getByRole('button', { name: 'Close PAGE/USD' }).click()
    await page.getByRole('heading', { name: /^Sell [\d.]+ PAGE\/USD\?$/ }).waitFor()
    await page.getByRole('button', { name: 'Close the position' }).click()
    await page.getByText('It holds nothing.').waitFor()
    for (const each of [page, other]) await each.context().close()
  })

  test('a finished backtest goes on to paper when its differences were seen, and live says what is missing', {
    timeout: 120_000,
  }, async () => {
    const page = await open('/runs?mode=backtest&strategy=sma_cross')
    await page.getByRole('link', { name: 'demo', exact: true }).click()
    await page.getByRole('link', { name: 'Run on paper' }).click()
    await page.getByLabel('Exchange', { exact: true }).waitFor()
    await page.getByLabel('fast', { exact: true }).fill('7')
    await page.getByRole('button', { name: 'Start paper run' }).click()
    const difference = async (field: string) =>
      (await page.locator(`[data-difference="${field}"] td`).allTextContents()).slice(1)
    await page.locator('[data-difference="mode"]').waitFor()
    expect(await difference('mode')).toEqual(['backtest', 'paper'])
    expect(await difference('config.fast')).toEqual(['10', '7'])
    await page.screenshot({ path: `${OUTPUT}haro-promotion.png` })
    await page.getByRole('button', { name: 'Discard' }).click()
    await page.locator('[data-difference="mode"]').waitFor({ state: 'detached' })

    await page.getByRole('radio', { name: 'LIVE' }).check()
    await page.getByRole('button', { name: 'Start LIVE run' }).click()
    await page.getByText('alpaca has no credentials for live trading: set ALPACA_LIVE_API_KEY').waitFor()
    const { items } = (await (await fetch(`${weaver.url}/api/v1/runs?status=pending`)).json()) as { items: unknown[] }
    expect(items).toEqual([])
    await page.context().close()
  })

  test('no page overflows a phone, in light or in dark', { timeout: 180_000 }, async () => {
    const page = await open('/about', { width: 360 })
    const message = `order w-00000000-0000-4000-8000-000000000000-1-0 ${'has no exit; '.repeat(20)}`
    const alert = { id: 'a', at: new Date().toISOString(), run_id: null, part: 'account sim paper', message }
    await page.route('**/api/v1/alerts*', (route) => route.fulfill({ json: { items: [alert] } }))
    for (const path of PHONE_PATHS) {
      await page.goto(`${weaver.url}${path}`)
      await page.locator('main :is(h1, h2)').first().waitFor()
      for (const colorScheme of ['light', 'dark'] as const) {
        await page.emulateMedia({ colorScheme })
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
        expect({ path, overflow: Math.max(0, overflow) }).toEqual({ path, overflow: 0 })
        await page.screenshot({ path: `${OUTPUT}haro${path.replaceAll(/[/?=]/g, '-')}-phone-${colorScheme}.png` })
      }
    }
    await page.context().close()
  })

  test('no page broke its content security policy or threw', () => {
    expect(problems).toEqual([])
  })
})
