import { readFileSync } from 'node:fs'

/** What the process needs besides its connections: store, logs, modules, and a host with its pipes for each of some queues. */
const reserved = 96
/** Of what is left; the rest is for connections that are told that there are too many. */
const connectionsShare = 0.8
/** Connections that may be open all the same where nearly nothing is left. */
const connectionsMin = 8

/** @returns how many connections may be open, so that descriptors are left for everything else */
export function connectionsWithin(openFilesMax: number, connectionsMax: number): number {
  return Math.min(connectionsMax, Math.max(connectionsMin, Math.floor((openFilesMax - reserved) * connectionsShare)))
}

/** @returns how many descriptors this process may have open; infinity where the system does not say */
export function openFilesMax(): number {
  try {
    const limit = /^Max open files\s+(\d+)/m.exec(readFileSync('/proc/self/limits', 'latin1'))?.[1]
    return limit === undefined ? Number.POSITIVE_INFINITY : Number(limit)
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
