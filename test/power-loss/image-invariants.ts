/**
 * What must hold of the disk of workload.ts after any loss of power, whatever was acknowledged: what was one commit is there
 * as a whole or not at all, and every index agrees with its jobs.
 */
import type { DurableQueue } from '../../runtime/queue/durable-queue.ts'
import { type OpenQueue, queueConfig } from '../queue/open-queue.ts'
import { assertInvariants } from '../queue/store-invariants.ts'

const keepAll = { ageMs: null, count: null, bytes: null }
const keepFew = { ageMs: null, count: 3, bytes: null }

export const powerLossQueues = [
  queueConfig('short', { attempts: 3 }),
  queueConfig('documents', { attempts: 3 }),
  queueConfig('bulk'),
  queueConfig('churn', { retention: { completed: keepFew, failed: keepAll, cancelled: keepAll } })
]
export const sumNames = ['one', 'two'] as const
export const pairNames = ['left', 'right'] as const
export const eventId = 'event'
const bulkSize = 200

export const transactionJobs = (number: number) => ids(`transaction-${number}`, 3)
/** @param name what no other has */
export const outboxJobs = (name: string) => ids(`outbox-${name}`, 2)
export const bulkJobs = (number: number) => ids(`bulk-${number}`, bulkSize)

function ids(name: string, count: number): string[] {
  return Array.from({ length: count }, (_, at) => `${name}-${at}`)
}

/** What is found, in the words of workload.ts: by id, how far it is. */
export type Found = Record<string, number>

export function findAll({ queue }: OpenQueue): Found {
  const found: Found = {}
  let cursor: string | null = null
  do {
    const page = queue.list({ limit: 1_000, ...(cursor !== null && { cursor }) })
    for (const { id, state } of page.jobs) found[id] = state === 'completed' ? 2 : 1
    cursor = page.cursor
  } while (cursor !== null)
  for (const id of Object.keys(found)) {
    const done = queue.get(id).steps?.filter(({ state }) => state === 'done').length
    if (done !== undefined) found[`step:${id}`] = done
  }
  for (const { id } of queue.outbox.list(undefined)) found[`outbox:${id}`] = 1
  const event = queue.schedule.get(eventId)
  if (event !== undefined) found[`event:${eventId}`] = event.runs
  return found
}

/** @throws what does not hold */
export function assertWhole(open: OpenQueue, found: Found): void {
  const { queue, store, tag } = open
  assertInvariants(store.reader, tag, new Map(powerLossQueues.map((config) => [config.name, config])))
  const problems = [...groupProblems(found), ...documentProblems(queue, found), ...outboxProblems(queue, found)]
  const instants = Object.keys(found).filter((id) => id.startsWith(`${eventId}@`)).length
  const runs = found[`event:${eventId}`] ?? 0
  if (instants !== runs) problems.push(`the event has run ${runs} times and has ${instants} jobs`)
  if (problems.length > 0) throw new Error(problems.join('; '))
}

/** Jobs that were enqueued together, and are never removed. */
function groupProblems(found: Found): string[] {
  const groups = new Map<string, number>()
  for (const id of Object.keys(found)) {
    const name = /^(?:transaction|outbox|bulk)-\d+/.exec(id)?.[0]
    if (name !== undefined) groups.set(name, (groups.get(name) ?? 0) + 1)
  }
  const sizes = { transaction: 3, outbox: 2, bulk: bulkSize }
  return [...groups]
    .filter(([name, count]) => count !== sizes[name.split('-')[0] as keyof typeof sizes])
    .map(([name, count]) => `of ${name} there are ${count} jobs`)
}

function documentProblems(queue: DurableQueue, found: Found): string[] {
  const problems: string[] = []
  const appended = sumNames.flatMap((name) => {
    const document = stateOf<{ appended: string[] }>(queue, 'd.Sum', name)
    const last = document?.reminders[0]
    if (document !== undefined && (last?.params as { id: string } | undefined)?.id !== document.state.appended.at(-1)) {
      problems.push(`the reminder of ${name} is not that of its last job`)
    }
    return document?.state.appended ?? []
  })
  if (new Set(appended).size !== appended.length) problems.push('a document counts a job twice')
  const completed = Object.keys(found).filter((id) => /^append-\d+$/.test(id) && found[id] === 2)
  if (!isSameSet(appended, completed)) problems.push(`documents count ${appended}, completed are ${completed}`)
  const children = Object.keys(found).filter((id) => /^append-\d+-child$/.test(id))
  const expected = completed.map((id) => `${id}-child`)
  if (!isSameSet(children, expected)) problems.push(`children ${children} of the completed ${completed}`)
  const [left, right] = pairNames.map((name) => stateOf<{ last: number }>(queue, 'd.Pair', name)?.state.last)
  const transactions = Object.keys(found).filter((id) => id.startsWith('transaction-'))
  const last = transactions.map((id) => Number(id.split('-')[1])).reduce((one, two) => Math.max(one, two), -1)
  if (left !== right || (left ?? -1) !== last) problems.push(`the pair is ${left}, ${right} after transaction ${last}`)
  return problems
}

/** The name of an outbox is the first job that it enqueues. */
function outboxProblems(queue: DurableQueue, found: Found): string[] {
  return queue.outbox
    .list(undefined)
    .filter(({ outbox }) => found[outbox] !== undefined)
    .map(({ outbox }) => `${outbox} is there, and still prepared`)
}

function stateOf<State>(queue: DurableQueue, type: string, name: string) {
  const document = queue.documents.list({ type }).documents.find((each) => each.name === name)
  return document === undefined
    ? undefined
    : { state: document.state as unknown as State, reminders: document.reminders }
}

function isSameSet(one: readonly string[], other: readonly string[]): boolean {
  return one.toSorted().join() === other.toSorted().join()
}
