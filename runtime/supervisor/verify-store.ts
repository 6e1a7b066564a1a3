import { discardSetAside, repairStore } from '../queue/repair.ts'
import { verifier } from '../queue/verifier.ts'
import { openDamagedDirectory } from '../store/data-directory.ts'
import type { Progress } from '../store/verification.ts'
import { requireMarker, type StoreReport, verifyDirectory } from '../store/verify-directory.ts'

/** What `runtime verify` says; after `--repair` with what that has done. */
export interface VerifyReport extends StoreReport {
  repaired: Repaired | null
}

interface Repaired {
  /** Keys of the records that were set aside, in hex. */
  setAside: string[]
  /** Ids of the jobs that failed for it. */
  failed: string[]
  /** Entries that follow from others, and were put right. */
  derived: number
  /** Records that were set aside and are forgotten now. */
  discarded: number
}

export interface VerifyStoreOptions {
  /** Sets aside what is damaged, and puts right what follows from other records. */
  repair: boolean
  /** Then forgets what was set aside. */
  discard: boolean
  /** Called now and then with how far it is. */
  tell: (progress: Progress) => void
}

/**
 * What `runtime verify` says of a data directory; see store/verify-directory.ts.
 *
 * @throws RuntimeError `DATA_DIR_INVALID`; of a repair also `DATA_DIR_LOCKED`: a supervisor owns it, `STORAGE_FULL`
 */
export async function verifyStore(directory: string, options: VerifyStoreOptions): Promise<VerifyReport> {
  const repaired = options.repair || options.discard ? await repair(directory, options) : null
  return { ...(await verifyDirectory(directory, { verifier, tell: options.tell })), repaired }
}

async function repair(directory: string, { discard }: VerifyStoreOptions): Promise<Repaired> {
  requireMarker(directory)
  const { store, tag, close } = await openDamagedDirectory(directory)
  try {
    const { records, failed, derived } = await repairStore(store, tag)
    const discarded = discard ? await discardSetAside(store) : 0
    return { setAside: records.map((key) => key.toString('hex')), failed, derived, discarded }
  } finally {
    await close()
  }
}
