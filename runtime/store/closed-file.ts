/**
 * What the data file looked like when a supervisor closed it: so that the next start can tell in a moment whether anybody has
 * touched it since, and looks through all of it if so.
 */
import { closeSync, openSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { readPageSnapshot } from './pages.ts'

/** @param file the note @param dataFile closed @param tag of the marker, which decides which ids there are */
export function noteClosed(file: string, dataFile: string, tag: string): void {
  writeFileSync(file, describe(dataFile, tag), { mode: 0o600 })
}

/** Whether the data file is as it was noted; false without a note. */
export function isAsClosed(file: string, dataFile: string, tag: string): boolean {
  try {
    return readFileSync(file, 'utf8') === describe(dataFile, tag)
  } catch {
    return false
  }
}

function describe(dataFile: string, tag: string): string {
  const { size, mtimeNs, ino } = statSync(dataFile, { bigint: true })
  const descriptor = openSync(dataFile, 'r')
  try {
    const { transaction } = readPageSnapshot(descriptor)
    return `${JSON.stringify({ tag, transaction, bytes: String(size), mtimeNs: String(mtimeNs), inode: String(ino) })}\n`
  } finally {
    closeSync(descriptor)
  }
}
