/** A question of the benchmark: each has a file in `questions/`, which measures one system once. */
import type { Place, System } from './system.ts'

export type QuestionName =
  | 'enqueue'
  | 'bulk'
  | 'completion'
  | 'cycle'
  | 'latency'
  | 'delayed'
  | 'payload'
  | 'backlog'
  | 'idle'
  | 'restart'
  | 'kill'
  | 'ready'
  | 'growth'

export type Unit = 'jobs/s' | 'ms' | 's' | 'µs/job' | 'MB' | 'times' | 'count'

export interface Figure {
  value: number
  unit: Unit
}

/** By what was measured, in the words of the table. */
export type Figures = Record<string, Figure>

/** How much is measured: `quick` only shows that everything works, `large` takes ten million jobs where it can. */
export type Extent = 'quick' | 'usual' | 'large'

export interface Run {
  system: System
  place: Place
  extent: Extent
}

export interface Question {
  name: QuestionName
  /** As a heading. */
  title: string
  /** How it is measured, for the reader of the table. */
  about: string
  /** Names of systems, in the order of the table. */
  systems: readonly string[]
  /** Where one run takes minutes. Default: as many as asked for. */
  roundsMax?: number
  measure(run: Run): Promise<Figures>
}

export function figure(value: number, unit: Unit): Figure {
  return { value, unit }
}

/** Of rates, and of shares of a rate; of everything else less is better. */
export function isMoreBetter(unit: Unit): boolean {
  return unit === 'jobs/s' || unit === 'times'
}
