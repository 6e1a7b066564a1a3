/** Files and folders that are on disk, and not only written, when a function returns. */
import { closeSync, fsyncSync, openSync, renameSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'

/** Puts a JSON file in its place, whole; nobody sees a part of it. */
export function writeSynced(file: string, content: object): void {
  renameSync(writeTemporary(file, content), file)
  syncPath(dirname(file))
}

/** @returns the path of a file beside `file` that holds the content as JSON */
export function writeTemporary(file: string, content: object): string {
  const temporary = `${file}.${process.pid}.new`
  writeFileSync(temporary, `${JSON.stringify(content)}\n`, { mode: 0o600, flush: true })
  return temporary
}

/** Of a file its content, of a folder its entries. */
export function syncPath(path: string): void {
  if (process.platform === 'win32') return
  const descriptor = openSync(path, 'r')
  fsyncSync(descriptor)
  closeSync(descriptor)
}
