import { closeSync, openSync } from 'node:fs'
import { readPageSnapshot } from '../../runtime/store/pages.ts'

/** @returns where the last page ends that is in use or was: behind it a data file may have room that LMDB has not taken yet */
export function endOfPages(dataFile: string): number {
  const descriptor = openSync(dataFile, 'r')
  try {
    const { lastPage, pageBytes } = readPageSnapshot(descriptor)
    return (lastPage + 1) * pageBytes
  } finally {
    closeSync(descriptor)
  }
}
