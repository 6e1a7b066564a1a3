import { verifier } from '../queue/verifier.ts'
import type { Progress } from '../store/verification.ts'
import { type StoreReport, verifyDirectory } from '../store/verify-directory.ts'

export type { StoreReport } from '../store/verify-directory.ts'

/**
 * What `runtime verify` says of a data directory; see store/verify-directory.ts.
 *
 * @param tell called now and then with how far it is
 * @throws RuntimeError `DATA_DIR_INVALID`
 */
export function verifyStore(directory: string, tell: (progress: Progress) => void): Promise<StoreReport> {
  return verifyDirectory(directory, { verifier, tell })
}
