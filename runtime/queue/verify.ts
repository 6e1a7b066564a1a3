/**
 * Child process: as store/verify.ts, and if every record is sound, whether they agree with each other (agreement.ts).
 */
import { dirname } from 'node:path'
import { readMarker } from '../store/data-directory.ts'
import { LmdbEngine } from '../store/lmdb-engine.ts'
import { verifyStore } from '../store/verification.ts'
import { checkAgreement } from './agreement.ts'

const [folder = '', timeMs = '0', mode] = process.argv.slice(2)
const deadlineMs = timeMs === '0' ? Number.POSITIVE_INFINITY : performance.now() + Number(timeMs)
const verification = verifyStore(folder, Number(timeMs), mode === 'live')
if (verification.complete && verification.damaged === 0) {
  const engine = new LmdbEngine(folder, { readOnly: true })
  const tag = readMarker(dirname(folder))?.tag ?? ''
  const { complete, count, problems } = checkAgreement(engine, tag, () => performance.now() > deadlineMs)
  Object.assign(verification, { complete, disagreements: count, disagreeing: problems })
}
process.send?.(verification)
