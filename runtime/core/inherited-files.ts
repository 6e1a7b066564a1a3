/**
 * LMDB opens the data file in a way that child processes inherit, with the right to write. A job that writes to a wrong
 * descriptor, or closes it, must not reach the store, so a process that runs actor code closes the files that it was born with.
 */
import { closeSync, fstatSync, readdirSync } from 'node:fs'

const lastStandardStream = 2

/** Called before the process has opened a file of its own. Windows hands none on. */
export function closeInheritedFiles(): void {
  if (process.platform === 'win32') return
  for (const descriptor of readdirSync('/dev/fd').map(Number)) {
    if (descriptor <= lastStandardStream) continue
    try {
      if (fstatSync(descriptor).isFile()) closeSync(descriptor)
    } catch {
      // The one with which the folder was read.
    }
  }
}
