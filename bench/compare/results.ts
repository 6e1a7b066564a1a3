/** What was measured, and what follows from it. */
import { percentile } from '../percentile.ts'
import { type Figures, isMoreBetter, type QuestionName, type Unit } from './question.ts'

export interface Answer {
  question: QuestionName
  system: string
  /** One for each round. */
  rounds: Figures[]
  /** Why there are none. */
  without?: string
}

export interface Summary {
  unit: Unit
  median: number
  min: number
  max: number
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** @returns undefined where the system has no such figure */
export function summary(answer: Answer | undefined, figure: string): Summary | undefined {
  const found = answer?.rounds.flatMap((figures) => figures[figure] ?? []) ?? []
  if (found.length === 0) return undefined
  const values = found.map(({ value }) => value)
  return {
    unit: found[0]!.unit,
    median: median(values),
    min: percentile(values, 0),
    max: percentile(values, 1)
  }
}

/**
 * How many times better the one is than the other: the median of the ratios of rounds, since the machine is the same within a
 * round, but not over all of them. Above 1: better.
 */
export function timesBetter(one: Answer | undefined, other: Answer | undefined, figure: string, of = figure) {
  const ratios = (one?.rounds ?? []).flatMap((figures, round) => {
    const [a, b] = [figures[figure], other?.rounds[round]?.[of]]
    if (a === undefined || b === undefined) return []
    return [isMoreBetter(a.unit) ? a.value / b.value : b.value / a.value]
  })
  return ratios.length === 0 ? undefined : median(ratios)
}

export function answerOf(answers: readonly Answer[], question: QuestionName, system: string): Answer | undefined {
  return answers.find((answer) => answer.question === question && answer.system === system)
}
