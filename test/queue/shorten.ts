/** Makes a failing sequence short enough to read: leaves out steps, then requests and options, while it goes on failing. */
import type { Sequence, Step } from './model-steps.ts'

/** So many requests are not looked at one by one. */
const crowd = 8
/** Then it is short enough. */
const patienceMs = 30_000

export async function shorten(
  sequence: Sequence,
  stillFails: (sequence: Sequence) => Promise<boolean>
): Promise<Sequence> {
  const untilMs = Date.now() + patienceMs
  const fails = async (each: Sequence) => Date.now() < untilMs && (await stillFails(each))
  let best = sequence
  for (let size = best.steps.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at < best.steps.length; ) {
      const steps = [...best.steps.slice(0, at), ...best.steps.slice(at + size)]
      if (await fails({ ...best, steps })) best = { ...best, steps }
      else at += size
    }
  }
  for (let isBetter = true; isBetter && Date.now() < untilMs; ) {
    isBetter = false
    for (const steps of simpler(best.steps)) {
      if (!(await fails({ ...best, steps }))) continue
      best = { ...best, steps }
      isBetter = true
      break
    }
  }
  return best
}

function* simpler(steps: readonly Step[]): Generator<Step[]> {
  for (const [at, step] of steps.entries()) {
    yield steps.toSpliced(at, 1)
    for (const each of simplerStep(step)) yield steps.toSpliced(at, 1, each)
  }
}

function* simplerStep(step: Step): Generator<Step> {
  if (step.do === 'together') {
    for (const steps of simpler(step.steps)) yield { ...step, steps }
    yield* step.steps
  }
  if (step.do === 'crash' && step.during !== undefined) {
    yield { ...step, during: undefined }
    for (const during of simplerStep(step.during)) yield { ...step, during }
  }
  if (step.do === 'bulk' || step.do === 'list') {
    for (const name of Object.keys(step.selection)) yield { ...step, selection: without(step.selection, name) }
  }
  if (step.do !== 'enqueue') return
  const { requests } = step
  if (requests.length > crowd) {
    for (const count of [requests.length >> 1, requests.length >> 3, 1]) {
      yield { ...step, requests: requests.toSpliced(1, count) }
    }
    return
  }
  for (const [at, request] of step.requests.entries()) {
    if (step.requests.length > 1) yield { ...step, requests: step.requests.toSpliced(at, 1) }
    const changed = (other: typeof request) => ({ ...step, requests: step.requests.toSpliced(at, 1, other) })
    if (request.dependsOn !== undefined) yield changed({ ...request, dependsOn: undefined })
    for (const name of Object.keys(request.options)) {
      if (name !== 'queue' && name !== 'method') yield changed({ ...request, options: without(request.options, name) })
    }
  }
}

function without<T extends object>(object: T, name: string): T {
  return Object.fromEntries(Object.entries(object).filter(([key]) => key !== name)) as T
}
