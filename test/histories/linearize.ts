/**
 * Is there an order of the operations of a history, consistent with real time, in which a sequential model gives the answers
 * that were given? The search of Wing and Gong, with the memory of porcupine: a set of operations that leads to states that
 * were met before is not looked at again.
 *
 * The model is deterministic as to calls. What the system does by itself between two calls (a job is started, completes) are
 * `internal` steps, which may happen at any time or never; so the search goes on from a set of states. An operation whose
 * answer was lost may have happened, up to its end, or not.
 */

export interface Operation<Call> {
  client: string
  call: Call
  /** Both count events of the process that records, so no two are equal. */
  calledAt: number
  returnedAt: number
  /** undefined: lost. */
  answer: unknown
}

export interface Model<State, Call> {
  start: State
  keyOf(state: State): string
  internal(state: State): State[]
  apply(state: State, call: Call): { answer: unknown; next: State }
  /** Default: equal as JSON. */
  matches?(call: Call, answer: unknown, expected: unknown): boolean
}

type Histories<Call> = readonly Operation<Call>[]

/** Of the search for one order, whose steps may be as many as there are orders. */
const stepsMax = 200_000

/** @throws {SearchTooLong} */
export function isLinearizable<State, Call>(history: Histories<Call>, model: Model<State, Call>): boolean {
  const operations = history.toSorted((one, two) => one.calledAt - two.calledAt)
  const done = new Array<boolean>(operations.length).fill(false)
  const seen = new Set<string>()
  const search = (first: number, states: Map<string, State>): boolean => {
    let low = first
    while (low < operations.length && done[low]) low++
    // What comes before the end of every operation that is still to come may be next.
    let endAt = Number.POSITIVE_INFINITY
    let isOver = true
    const ahead: number[] = []
    for (let at = low; at < operations.length; at++) {
      const operation = operations[at]!
      if (operation.calledAt > endAt) break
      if (done[at]) {
        ahead.push(at)
        continue
      }
      if (operation.answer === undefined) continue
      isOver = false
      endAt = Math.min(endAt, operation.returnedAt)
    }
    if (isOver) return true
    const memory = `${low} ${ahead} ${[...states.keys()].sort()}`
    if (seen.has(memory)) return false
    seen.add(memory)
    if (seen.size > stepsMax) throw new SearchTooLong()
    for (let at = low; at < operations.length && operations[at]!.calledAt < endAt; at++) {
      if (done[at]) continue
      const next = statesAfter(states, operations[at]!, model)
      if (next.size === 0) continue
      done[at] = true
      if (search(low, next)) return true
      done[at] = false
    }
    return false
  }
  return search(0, closure([model.start], model))
}

export class SearchTooLong extends Error {
  override message = `neither an order that explains the answers nor that there is none was found in ${stepsMax} steps`
}

function statesAfter<State, Call>(
  states: Map<string, State>,
  { call, answer }: Operation<Call>,
  model: Model<State, Call>
): Map<string, State> {
  const matches = model.matches ?? isSame
  const next: State[] = []
  for (const state of states.values()) {
    const applied = model.apply(state, call)
    if (answer === undefined || matches(call, answer, applied.answer)) next.push(applied.next)
  }
  return closure(next, model)
}

function closure<State>(
  from: readonly State[],
  { keyOf, internal }: Pick<Model<State, never>, 'keyOf' | 'internal'>
): Map<string, State> {
  const states = new Map<string, State>()
  const open = [...from]
  for (let state = open.pop(); state !== undefined; state = open.pop()) {
    const key = keyOf(state)
    if (states.has(key)) continue
    states.set(key, state)
    open.push(...internal(state))
  }
  return states
}

function isSame(_call: unknown, answer: unknown, expected: unknown): boolean {
  return JSON.stringify(answer) === JSON.stringify(expected)
}

/** Each weaker answer makes the next search longer. */
const shrinkMsMax = 30_000

/**
 * What of a history without an order is enough to have none: first the shortest beginning of it, then as few answers as
 * possible. An operation is not left out, which would itself be a contradiction, but taken as if its answer had been lost.
 */
export function shrunk<State, Call>(history: Histories<Call>, model: Model<State, Call>): Operation<Call>[] {
  const endMs = performance.now() + shrinkMsMax
  const hasNoOrder = (operations: Histories<Call>) => {
    if (performance.now() > endMs) return false
    try {
      return !isLinearizable(operations, model)
    } catch (error) {
      if (error instanceof SearchTooLong) return false
      throw error
    }
  }
  const ends = history.map(({ returnedAt }) => returnedAt).sort((one, two) => one - two)
  let core = [...history]
  for (const end of ends) {
    const beginning = history
      .filter(({ calledAt }) => calledAt < end)
      .map((operation) => (operation.returnedAt > end ? { ...operation, answer: undefined } : operation))
    if (!hasNoOrder(beginning)) continue
    core = beginning
    break
  }
  for (const operation of core.toReversed()) {
    const at = core.indexOf(operation)
    if (operation.answer === undefined) continue
    const weaker = core.with(at, { ...operation, answer: undefined })
    if (hasNoOrder(weaker)) core = weaker
  }
  // A lost operation that does not help to explain anything: without it there is no order either.
  for (const operation of [...core]) {
    if (operation.answer !== undefined) continue
    const fewer = core.filter((each) => each !== operation)
    if (isReading(operation, model) && hasNoOrder(fewer)) core = fewer
  }
  return core
}

function isReading<State, Call>({ call }: Operation<Call>, model: Model<State, Call>): boolean {
  return (
    model.keyOf(model.apply(model.start, call).next) === model.keyOf(model.start) &&
    'read' === (call as { type?: string }).type
  )
}

/** For people: one operation a line, in the order of the calls. */
export function told<Call>(history: Histories<Call>): string {
  return history
    .toSorted((one, two) => one.calledAt - two.calledAt)
    .map(({ client, call, calledAt, returnedAt, answer }) => {
      const end = Number.isFinite(returnedAt) ? returnedAt : '…'
      return `${calledAt}-${end} ${client}: ${JSON.stringify(call)} → ${answer === undefined ? 'lost' : JSON.stringify(answer)}`
    })
    .join('\n')
}
