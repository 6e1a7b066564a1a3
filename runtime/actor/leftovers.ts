/**
 * Finds out whether a job that has ended left something running: a timer, a socket, a file operation, a child process.
 * Such things fire while the *next* job of the thread runs, and an error in them ends the thread under it.
 * What holds no reference (`unref`) is not seen: see blame.ts.
 */
import { subscribe } from 'node:diagnostics_channel'
import { setTimeout } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'

/** Streams and connections that are just closing get this long. */
const restWithinMs = 20

/** What keeps the event loop of this thread alive, by the names that Node gives it. */
export interface Resources {
  readonly kinds: readonly string[]
  /** Immediates among them that no job has set. */
  readonly ownImmediates: number
}

/** Threads that jobs have started: Node does not count them among its resources. */
const threads = new Set<Worker>()

subscribe('worker_threads', (message) => {
  const { worker } = message as { worker: Worker }
  const { ref, unref } = worker
  threads.add(worker)
  worker.once('exit', () => threads.delete(worker))
  worker.unref = () => {
    threads.delete(worker)
    unref.call(worker)
  }
  worker.ref = () => {
    if (worker.threadId !== -1) threads.add(worker)
    ref.call(worker)
  }
})

export function activeResources(ownImmediates: number): Resources {
  const kinds = process.getActiveResourcesInfo()
  for (let count = 0; count < threads.size; count++) kinds.push('Worker')
  return { kinds, ownImmediates }
}

/** Called after each job, so what is usual is found out first: nothing has changed. @returns what there is more of `now` */
export function leftBehind(before: Resources, now: Resources): string[] {
  if (isSame(before, now)) return []
  const counts = countsOf(before)
  return [...countsOf(now)].filter(([kind, count]) => count > (counts.get(kind) ?? 0)).map(([kind]) => kind)
}

function isSame(before: Resources, now: Resources): boolean {
  let immediates = now.ownImmediates - before.ownImmediates
  let at = 0
  for (const kind of now.kinds) {
    if (kind === 'Immediate') {
      immediates -= 1
      continue
    }
    while (before.kinds[at] === 'Immediate') {
      immediates += 1
      at += 1
    }
    if (before.kinds[at] !== kind) return false
    at += 1
  }
  for (; at < before.kinds.length; at++) {
    if (before.kinds[at] !== 'Immediate') return false
    immediates += 1
  }
  return immediates === 0
}

function countsOf({ kinds, ownImmediates }: Resources): Map<string, number> {
  const counts = new Map([['Immediate', -ownImmediates]])
  for (const kind of kinds) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return counts
}

/** @returns what is left after a short wait, if anything is */
export async function leftAfterRest(before: Resources, now: () => Resources): Promise<string[]> {
  const untilMs = performance.now() + restWithinMs
  let left: string[] = []
  while (performance.now() < untilMs) {
    await setTimeout(1)
    left = leftBehind(before, now())
    if (left.length === 0) break
  }
  return left
}
