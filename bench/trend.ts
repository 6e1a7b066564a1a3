/**
 * Does a figure level off? The Theil-Sen slope, the median of the slopes between all pairs of samples, does not mind single
 * samples that are far off, such as those at a kill. Growth is that slope over the whole time, beside the median.
 */
import { percentile, rounded } from './percentile.ts'

/** More samples than this are thinned out: pairs grow with their square. */
const samplesMax = 400

export interface Trend {
  figure: string
  median: number
  /** By the slope, from the first sample to the last. */
  growth: number
  growthMax: number
  samples: number
  /** null: too few samples to say. */
  met: boolean | null
}

export interface TrendBound {
  /** Of the median. */
  ratio: number
  /** Growth up to this is none, however small the median. */
  floor: number
}

const judgedFrom = 8

/**
 * @param samples in the order of time; those without a value are left out
 * @param atOf when a sample was taken, in any unit
 */
export function trendOf<Sample>(
  figure: string,
  samples: readonly Sample[],
  atOf: (sample: Sample) => number,
  figureOf: (sample: Sample) => number,
  { ratio, floor }: TrendBound
): Trend {
  const points = thinned(samples.map((sample) => ({ at: atOf(sample), value: figureOf(sample) }))).filter(({ value }) =>
    Number.isFinite(value)
  )
  const slopes = points.flatMap((one, index) =>
    points.slice(index + 1).map((two) => (two.value - one.value) / (two.at - one.at))
  )
  const median = percentile(
    points.map(({ value }) => value),
    0.5
  )
  const growth = points.length < 2 ? 0 : percentile(slopes, 0.5) * (points.at(-1)!.at - points[0]!.at)
  const growthMax = Math.max(floor, ratio * median)
  const met = points.length < judgedFrom ? null : growth <= growthMax
  return {
    figure,
    median: rounded(median),
    growth: rounded(growth),
    growthMax: rounded(growthMax),
    samples: points.length,
    met
  }
}

function thinned<Point>(points: readonly Point[]): Point[] {
  const every = Math.ceil(points.length / samplesMax)
  return points.filter((_, index) => index % every === 0)
}

const bars = '▁▂▃▄▅▆▇█'

/** A line of text with a bar for each of `width` equal parts of the values, from nothing to the largest median of a part. */
export function sparkline(values: readonly number[], width = 40): string {
  const size = Math.max(1, values.length / width)
  const parts = Array.from({ length: Math.min(width, values.length) }, (_, index) =>
    percentile(values.slice(Math.floor(index * size), Math.floor((index + 1) * size)).filter(Number.isFinite), 0.5)
  )
  const most = Math.max(...parts.filter(Number.isFinite), Number.MIN_VALUE)
  return parts
    .map((part) => (Number.isFinite(part) ? bars[Math.min(7, Math.floor((part / most) * 7.999))] : ' '))
    .join('')
}
