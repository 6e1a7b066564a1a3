/**
 * Child process: looks through a data file and sends one {@link Verification}, before it now and then a `Progress`.
 * Arguments: folder of the store; milliseconds after which it stops reading, 0 for never; `live` where a supervisor may be writing.
 */
import { join } from 'node:path'
import { open } from 'lmdb'
import { type PageSnapshot, readPageSnapshot } from './pages.ts'
import { type Verification, verifyFile } from './verification.ts'

/** Beside a supervisor that writes: what a reader of LMDB sees is not written over while that reader is there. */
function heldSnapshot(folder: string): (descriptor: number) => PageSnapshot {
  const store = open({ path: folder, noSubdir: false, readOnly: true, encoding: 'binary', keyEncoding: 'binary' })
  return (descriptor) => {
    for (;;) {
      const before = readPageSnapshot(descriptor)
      const reading = store.useReadTransaction()
      if (readPageSnapshot(descriptor).transaction === before.transaction) return before
      reading.done()
      store.resetReadTxn()
    }
  }
}

function verify(folder: string, timeMs: number, isLive: boolean): Verification {
  const snapshotOf = isLive ? heldSnapshot(folder) : readPageSnapshot
  return verifyFile(join(folder, 'data.mdb'), snapshotOf, timeMs, (progress) => process.send?.(progress))
}

const [folder = '', timeMs = '0', mode] = process.argv.slice(2)
process.send?.(verify(folder, Number(timeMs), mode === 'live'))
