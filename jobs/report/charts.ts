/**
 * Charts as SVG without a script. What is drawn stretches with the page; words and numbers are HTML over it, so that they
 * stay readable on a telephone and on paper.
 */
import { extent } from 'd3-array'
import { scaleLinear, scaleUtc } from 'd3-scale'
import { area, line } from 'd3-shape'
import { html } from 'hono/html'
import type { Html } from './html.ts'

/** Units of the drawing; it is stretched to the page. */
const WIDTH = 1000
const HEIGHT = 300
/** Between the bars of a histogram. */
const GAP = 2

export interface Series {
  name: string
  values: readonly number[]
  /** Class of its stroke: own, other, down. */
  look: 'own' | 'other' | 'down'
}

interface Frame {
  caption: string
  /** What a reader who cannot see the chart is told. */
  told: string
  low?: boolean
}

interface Axis {
  y: { at: number; label: string }[]
  x: { at: number; label: string }[]
}

/** Values over time. With `filled` the first series is an area that hangs from or stands on zero. */
export function timeChart(
  frame: Frame & { filled?: boolean },
  times: readonly number[],
  series: readonly Series[],
  label: (value: number) => string,
): Html {
  const x = scaleUtc(spread(times), [0, WIDTH])
  const values = series.flatMap((one) => [...one.values])
  const y = scaleLinear(spread(frame.filled ? [0, ...values] : values), [HEIGHT, 0]).nice(4)
  const known = (values: readonly number[]) => (_: number, index: number) => Number.isFinite(values[index])
  const paths = series.map(({ values, look }, index) => {
    const at = (i: number) => x(times[i] as number)
    const height = (i: number) => y(values[i] as number)
    const indices = times.map((_, i) => i)
    const stroke = line<number>().defined(known(values)).x(at).y(height).digits(1)(indices)
    const below = frame.filled && index === 0 ? area<number>().defined(known(values)).x(at).y1(height).y0(y(0)) : null
    return html`${below ? html`<path class="fill ${look}" d="${below.digits(1)(indices) ?? ''}"/>` : ''}<path class="line ${look}" d="${stroke ?? ''}"/>`
  })
  const name = x.tickFormat(6)
  const axis = {
    y: y.ticks(4).map((value) => ({ at: y(value), label: label(value) })),
    x: x.ticks(6).map((value) => ({ at: x(value), label: name(value) })),
  }
  const legend = series.length > 1 ? series : []
  return figure(frame, axis, paths, legend)
}

/** How many values fall between each two edges; bars below zero look different. */
export function histogram(frame: Frame, bars: readonly Bar[], label: (value: number) => string): Html {
  const [first, last] = [bars[0], bars.at(-1)]
  if (!first || !last) return html``
  const x = scaleLinear([first.from, last.to], [0, WIDTH])
  const y = scaleLinear([0, Math.max(...bars.map((bar) => bar.count), 1)], [HEIGHT, 0]).nice(4)
  const drawn = bars.map(({ from, to, count }) => {
    const look = from + to < 0 ? 'down' : 'up'
    const left = x(from) + GAP / 2
    const right = Math.max(x(to) - GAP / 2, left)
    return html`<rect class="${look}" x="${left.toFixed(1)}" width="${(right - left).toFixed(1)}" y="${y(count).toFixed(1)}" height="${(HEIGHT - y(count)).toFixed(1)}"/>`
  })
  const axis = {
    y: y
      .ticks(4)
      .filter(Number.isInteger)
      .map((value) => ({ at: y(value), label: String(value) })),
    x: x.ticks(6).map((value) => ({ at: x(value), label: label(value) })),
  }
  return figure(frame, axis, drawn, [])
}

export interface Bar {
  from: number
  to: number
  count: number
}

export interface Dot {
  x: number
  y: number
  look: 'up' | 'down'
}

/** A cloud of dots from zero up on both axes. */
export function scatter(frame: Frame, dots: readonly Dot[], label: (value: number) => string): Html {
  const most = (pick: (dot: Dot) => number) => Math.max(...dots.map(pick), Number.MIN_VALUE)
  const x = scaleLinear([0, most((dot) => dot.x)], [0, WIDTH]).nice(5)
  const y = scaleLinear([0, most((dot) => dot.y)], [HEIGHT, 0]).nice(4)
  // A stroke without length and with round ends is a dot that stays round, however the drawing is stretched.
  const cloud = (look: Dot['look']) =>
    dots.filter((dot) => dot.look === look).map((dot) => `M${x(dot.x).toFixed(1)} ${y(dot.y).toFixed(1)}h0`)
  const drawn = (['up', 'down'] as const).map((look) => html`<path class="dots ${look}" d="${cloud(look).join('')}"/>`)
  const axis = {
    y: y.ticks(4).map((value) => ({ at: y(value), label: label(value) })),
    x: x.ticks(5).map((value) => ({ at: x(value), label: label(value) })),
  }
  return figure(frame, axis, drawn, [])
}

/** Closer together, no scale between two numbers can be told in floats. */
const TINY = 1e-300

/** Low and high, with some room where they are the same. */
function spread(values: readonly number[]): [number, number] {
  const [low, high] = extent(values.filter(Number.isFinite))
  if (low === undefined || high === undefined) return [0, 1]
  if (high - low > TINY) return [low, high]
  const room = (Math.abs(low) > TINY ? Math.abs(low) : 1) * 0.01
  return [low - room, high + room]
}

const share = (at: number, of: number) => `${((at / of) * 100).toFixed(2)}%`

function figure({ caption, told, low }: Frame, axis: Axis, drawn: readonly Html[], legend: readonly Series[]): Html {
  return html`<figure class="chart${low ? ' low' : ''}">
<figcaption>${caption}${legend.map(({ name, look }) => html` <span class="key ${look}">${name}</span>`)}</figcaption>
<div class="plot">
<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" preserveAspectRatio="none" role="img" aria-label="${told}">
${axis.y.map(({ at }) => html`<path class="grid" d="M0 ${at.toFixed(1)}H${WIDTH}"/>`)}${drawn}</svg>
${axis.y.map(({ at, label }) => html`<span class="y" style="top:${share(at, HEIGHT)}">${label}</span>`)}
${axis.x.map(({ at, label }, index) => html`<span class="x${index % 2 === 1 ? ' minor' : ''}" style="left:${share(at, WIDTH)}">${label}</span>`)}
</div></figure>`
}
