/** The aims of this project, each as a figure of one question, and whether it is met. */
import type { QuestionName } from './question.ts'
import { type Answer, answerOf, summary, timesBetter } from './results.ts'

interface Target {
  question: QuestionName
  system: string
  figure: string
  /** `against` another system, at least so many times better; or the figure itself, at most or at least. */
  aim: { against: string; atLeast: number } | { atMost: number } | { atLeast: number }
}

export interface Verdict {
  what: string
  aim: string
  measured: number
  met: boolean
  /** How much of the aim is reached; 1 and more where it is met. */
  share: number
}

const served = 'ours, socket'

const targets: readonly Target[] = [
  ratio('completion', 'ours', 'completed', 'BullMQ, fsync each second', 6),
  ratio('completion', 'ours', 'completed', 'BullMQ, worker threads', 15),
  ratio('completion', 'ours', 'completed', 'graphile-worker', 3.5),
  ratio('completion', 'ours', 'completed', 'limit: bare piscina', 3),
  ratio('enqueue', 'ours', '1000 in flight', 'BullMQ, fsync always', 4),
  ratio('bulk', 'ours', 'groups of 1000', 'plainjob, NORMAL', 1),
  ratio('enqueue', served, '1000 in flight', 'BullMQ, fsync always', 2),
  atMost('latency', 'ours', 'start p50 at 200/s', 0.7),
  atMost('latency', 'ours', 'start p99 at 200/s', 3),
  atMost('latency', 'ours', 'start p99 at 2000/s', 5),
  atMost('latency', 'ours', 'start p99 at 10000/s', 20),
  atMost('delayed', 'ours', 'early', 0),
  atMost('delayed', 'ours', 'lateness p99', 10),
  atMost('idle', served, 'CPU time', 0.02),
  atMost('idle', served, 'context switches', 20),
  atMost('backlog', served, '10000000 waiting: memory', 150),
  atLeast('backlog', served, '1000000 waiting: enqueues', 0.7),
  atLeast('backlog', served, '1000000 waiting: starts', 0.7),
  atLeast('backlog', served, '10000000 waiting: enqueues', 0.7),
  atLeast('backlog', served, '10000000 waiting: starts', 0.7),
  atMost('restart', served, 'first job starts', 1_000),
  atMost('ready', served, '`runtime serve`', 250),
  atMost('ready', served, '`runtime status`', 150)
]

/** @returns the targets of what was measured; of one that compares, where both were */
export function verdicts(answers: readonly Answer[]): Verdict[] {
  return targets.flatMap((target) => judge(target, answers) ?? [])
}

function judge({ question, system, figure, aim }: Target, answers: readonly Answer[]): Verdict | undefined {
  const own = answerOf(answers, question, system)
  const what = `${question}, ${system}: ${figure}`
  if ('against' in aim) {
    const measured = timesBetter(own, answerOf(answers, question, aim.against), figure)
    if (measured === undefined) return undefined
    const share = measured / aim.atLeast
    return { what, aim: `≥ ${aim.atLeast} × ${aim.against}`, measured, met: share >= 1, share }
  }
  const found = summary(own, figure)
  if (found === undefined) return undefined
  const measured = found.median
  if ('atLeast' in aim) {
    const share = measured / aim.atLeast
    return { what, aim: `≥ ${aim.atLeast} ${found.unit}`, measured, met: share >= 1, share }
  }
  const met = measured <= aim.atMost
  return { what, aim: `≤ ${aim.atMost} ${found.unit}`, measured, met, share: met ? 1 : aim.atMost / measured }
}

function ratio(question: QuestionName, system: string, figure: string, against: string, atLeast: number): Target {
  return { question, system, figure, aim: { against, atLeast } }
}

function atMost(question: QuestionName, system: string, figure: string, atMost: number): Target {
  return { question, system, figure, aim: { atMost } }
}

function atLeast(question: QuestionName, system: string, figure: string, atLeast: number): Target {
  return { question, system, figure, aim: { atLeast } }
}
