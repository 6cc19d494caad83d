/** The one user of lightweight-charts; loaded when a chart is shown. Three panes share one time axis and crosshair. */
import {
  AreaSeries,
  CandlestickSeries,
  ColorType,
  createChart,
  createSeriesMarkers,
  HistogramSeries,
  type IChartApi,
  LineSeries,
  type MouseEventParams,
  type SeriesMarker,
  type Time,
  type UTCTimestamp,
} from 'lightweight-charts'
import type { Bars } from '../types.ts'
import type { AlignedCurve, Marker } from './series.ts'

export interface ChartData {
  bars: Bars
  curve: AlignedCurve
  markers: Marker[]
}

export interface Readout {
  time: number
  close: number | null
  equity: number | null
  drawdown: number | null
}

/** With more markers their texts would cover each other; the crosshair tells them. */
const LABELLED_MARKERS = 12

const seconds = (ms: number) => Math.floor(ms / 1000) as UTCTimestamp
const color = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim()

function theme() {
  const soft = { color: color('--border') }
  return {
    layout: {
      background: { type: ColorType.Solid as const, color: color('--surface') },
      textColor: color('--muted'),
      attributionLogo: false,
      panes: { separatorColor: color('--border'), separatorHoverColor: color('--surface-2') },
    },
    grid: { vertLines: soft, horzLines: soft },
    rightPriceScale: { borderColor: color('--border') },
    timeScale: { borderColor: color('--border') },
  }
}

/** Digits that tell neighbouring prices apart: small prices need more of them. */
function priceFormat(bars: Bars) {
  const typical = Math.abs(bars.close.at(-1) ?? 1)
  const precision = typical >= 1 ? 2 : Math.min(8, 2 - Math.floor(Math.log10(typical || 1)))
  return { type: 'price' as const, precision, minMove: 10 ** -precision }
}

function markersOf(found: Marker[]): SeriesMarker<Time>[] {
  return found.map((marker) => {
    const buy = marker.buys >= marker.sells
    return {
      time: seconds(marker.time),
      position: buy ? 'belowBar' : 'aboveBar',
      shape: marker.buys > 0 && marker.sells > 0 ? 'square' : buy ? 'arrowUp' : 'arrowDown',
      color: color(buy ? '--up' : '--down'),
      text: found.length <= LABELLED_MARKERS ? marker.text : '',
    }
  })
}

/** Candles with volume below them, the equity and its falls: one pane each. */
function addSeries(chart: IChartApi, bars: ChartData['bars']) {
  const up = color('--up')
  const down = color('--down')
  const price = chart.addSeries(
    CandlestickSeries,
    {
      upColor: up,
      downColor: down,
      borderVisible: false,
      wickUpColor: up,
      wickDownColor: down,
      priceFormat: priceFormat(bars),
    },
    0,
  )
  const volume = chart.addSeries(
    HistogramSeries,
    {
      priceScaleId: 'volume',
      priceFormat: { type: 'volume' },
      color: color('--border-strong'),
      lastValueVisible: false,
      priceLineVisible: false,
    },
    0,
  )
  volume.priceScale().applyOptions({ scaleMargins: { top: 0.85, bottom: 0 } })
  const equity = chart.addSeries(
    LineSeries,
    { color: color('--accent'), lineWidth: 2, priceFormat: { type: 'price', precision: 2, minMove: 0.01 } },
    1,
  )
  const drawdown = chart.addSeries(
    AreaSeries,
    {
      lineColor: down,
      lineWidth: 1,
      topColor: 'transparent',
      bottomColor: `${down}55`,
      invertFilledArea: true,
      priceFormat: { type: 'custom', minMove: 0.0001, formatter: (value: number) => `${(value * 100).toFixed(1)} %` },
      priceLineVisible: false,
    },
    2,
  )
  return { price, volume, equity, drawdown }
}

type Series = ReturnType<typeof addSeries>

function fill({ price, volume, equity, drawdown }: Series, { bars, curve }: ChartData): void {
  const line = (values: (number | null)[]) =>
    bars.time.map((time, index) => {
      const value = values[index]
      return value === null || value === undefined ? { time: seconds(time) } : { time: seconds(time), value }
    })
  price.setData(
    bars.time.map((time, index) => ({
      time: seconds(time),
      open: bars.open[index] ?? 0,
      high: bars.high[index] ?? 0,
      low: bars.low[index] ?? 0,
      close: bars.close[index] ?? 0,
    })),
  )
  volume.setData(bars.time.map((time, index) => ({ time: seconds(time), value: bars.volume[index] ?? 0 })))
  equity.setData(line(curve.equity))
  drawdown.setData(line(curve.drawdown))
}

/** What lies under the cursor. */
function readoutOf({ price, equity, drawdown }: Series, move: MouseEventParams): Readout | null {
  if (move.time === undefined) return null
  const at = (series: typeof equity | typeof drawdown) => {
    const point = move.seriesData.get(series)
    return point && 'value' in point ? point.value : null
  }
  const candle = move.seriesData.get(price)
  return {
    time: Number(move.time) * 1000,
    close: candle && 'close' in candle ? candle.close : null,
    equity: at(equity),
    drawdown: at(drawdown),
  }
}

export function draw(host: HTMLElement, data: ChartData, onread: (readout: Readout | null) => void) {
  const chart: IChartApi = createChart(host, {
    ...theme(),
    autoSize: true,
    timeScale: {
      ...theme().timeScale,
      timeVisible: true,
      secondsVisible: false,
      minBarSpacing: 0.05,
      maxBarSpacing: 40,
    },
    // A page that is scrolled with one finger must not be caught by the chart.
    handleScroll: { vertTouchDrag: false },
  })
  const series = addSeries(chart, data.bars)
  const marks = createSeriesMarkers(series.price, [])
  let fitted = false

  function set(drawn: ChartData) {
    fill(series, drawn)
    marks.setMarkers(markersOf(drawn.markers))
    // Only once: later data must not move what the user has zoomed to.
    if (!fitted && drawn.bars.time.length > 0) {
      fitted = true
      chart.timeScale().fitContent()
    }
    // For tests: what the library holds, not what it was meant to.
    host.dataset.drawn = String(series.equity.data().filter((point) => 'value' in point).length)
  }
  set(data)

  const panes = chart.panes()
  panes[0]?.setStretchFactor(3)
  panes[1]?.setStretchFactor(1.6)
  panes[2]?.setStretchFactor(1)

  chart.subscribeCrosshairMove((move) => onread(readoutOf(series, move)))

  return { set, remove: () => chart.remove() }
}
