/**
 * Child process: reads every record of a store and checks its checksum, then sends one {@link Verification}.
 * Arguments: folder of the store, milliseconds after which it stops reading.
 */
import { open } from 'lmdb'
import { unseal } from './records.ts'

export interface Verification {
  entries: number
  damaged: number
  /** Key of the first damaged record, in hex. */
  first: string | null
  /** False: the time was over before the end of the store. */
  complete: boolean
}

/** Kinds of entries whose value has no checksum: what they say follows from other records. All others are sealed. */
const unsealedKinds = new Set(['R', 'G', 'W', 'F', 'Z', 'T', 'B', 'V', 'A', 'N'].map((letter) => letter.charCodeAt(0)))
const entriesPerLookAtClock = 1_000

function verify(path: string, timeMs: number): Verification {
  const deadlineMs = performance.now() + timeMs
  const store = open<Buffer, Buffer>({
    path,
    noSubdir: false,
    readOnly: true,
    encoding: 'binary',
    keyEncoding: 'binary'
  })
  const verification: Verification = { entries: 0, damaged: 0, first: null, complete: true }
  for (const { key, value } of store.getRange({})) {
    if (++verification.entries % entriesPerLookAtClock === 0 && performance.now() > deadlineMs) {
      verification.complete = false
      break
    }
    if (unsealedKinds.has(key[0]!)) continue
    try {
      unseal(key, value)
    } catch {
      verification.damaged++
      verification.first ??= key.toString('hex')
    }
  }
  return verification
}

const [path = '', timeMs = '0'] = process.argv.slice(2)
process.send?.(verify(path, Number(timeMs)))
