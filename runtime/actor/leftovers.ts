/**
 * Finds out whether a job that has ended left something running: a timer, a socket, a file operation, a child process.
 * Such things fire while the *next* job of the thread runs, and an error in them ends the thread under it.
 * What holds no reference (`unref`) is not seen: see blame.ts.
 */
import { subscribe } from 'node:diagnostics_channel'
import { setImmediate, setTimeout } from 'node:timers/promises'
import type { Worker } from 'node:worker_threads'

/** Streams and connections that are just closing get this long. */
const restWithinMs = 20

export type Resources = ReadonlyMap<string, number>

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

/** What keeps the event loop of this thread alive, counted by kind. */
export function activeResources(): Resources {
  const counts = new Map<string, number>()
  if (threads.size > 0) counts.set('Worker', threads.size)
  for (const kind of process.getActiveResourcesInfo()) counts.set(kind, (counts.get(kind) ?? 0) + 1)
  return counts
}

/** One turn of the event loop: rejections that nobody handles come to light in it, while their job is still the one that runs. */
export async function turn(): Promise<void> {
  await setImmediate()
}

export function isAtRest(before: Resources): boolean {
  return leftBehind(before).length === 0
}

/** @returns what is left, by the names that Node gives it, such as `Timeout` */
export function leftBehind(before: Resources): string[] {
  return [...activeResources()].filter(([kind, count]) => count > (before.get(kind) ?? 0)).map(([kind]) => kind)
}

/** @returns whether nothing is left after a short wait */
export async function comesToRest(before: Resources): Promise<boolean> {
  const untilMs = performance.now() + restWithinMs
  while (performance.now() < untilMs) {
    await setTimeout(1)
    if (isAtRest(before)) return true
  }
  return false
}
