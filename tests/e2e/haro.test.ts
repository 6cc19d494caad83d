import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { type Browser, chromium, type Page } from 'playwright-core'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startWeaver } from '../support/weaver.ts'

const OUTPUT = new URL('../output/', import.meta.url).pathname
const PATIENCE_MS = 60_000
const BARS = 2_000
const SYMBOL = 'WAVE/USD'

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

  async function open(path: string, options: { colorScheme?: 'light' | 'dark'; width?: number } = {}): Promise<Page> {
    const context = await browser.newContext({
      colorScheme: options.colorScheme ?? 'light',
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
    weaver = await startWeaver()
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
    await data
      .getByLabel('File')
      .setInputFiles({ name: 'wave.csv', mimeType: 'text/csv', buffer: Buffer.from(waveCsv()) })
    await data.getByLabel('Symbol').fill(SYMBOL)
    await data.getByLabel('Timeframe').selectOption('1h')
    await data.getByRole('button', { name: 'Import' }).click()
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

  test('no page overflows a phone, in light or in dark', { timeout: 120_000 }, async () => {
    for (const path of ['/runs', '/runs/new', '/strategies', '/data', '/about', '/no-such-page']) {
      for (const colorScheme of ['light', 'dark'] as const) {
        const page = await open(path, { colorScheme, width: 360 })
        await page.locator('main :is(h1, h2)').first().waitFor()
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
        expect({ path, overflow: Math.max(0, overflow) }).toEqual({ path, overflow: 0 })
        await page.screenshot({ path: `${OUTPUT}haro${path.replaceAll('/', '-')}-phone-${colorScheme}.png` })
        await page.context().close()
      }
    }
  })

  test('no page broke its content security policy or threw', () => {
    expect(problems).toEqual([])
  })
})
