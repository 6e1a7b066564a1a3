/** A data directory seen from outside: whether everything in it can be read. It changes nothing and needs no supervisor. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { RuntimeError } from '../core/errors.ts'
import { isAlive, type Marker, readMarker, readOwnerFile, storeFolder } from './data-directory.ts'
import type { KeptAside, Progress } from './verification.ts'
import { verifyInChild } from './verify-in-child.ts'

/** What `runtime verify` says. */
export interface StoreReport {
  directory: string
  /** Nothing is damaged. */
  sound: boolean
  format: number
  /** Of the supervisor that was running meanwhile; null: none. */
  pid: number | null
  bytes: number
  entries: number
  jobs: number
  findings: StoreFinding[]
  /** Damaged records that are not used any more: they make a store no less sound. */
  setAside: { count: number; records: KeptAside[] }
}

interface StoreFinding {
  what: string
  advice: string
  /** The keys of the first records, in hex; or the first entries in words. */
  details: readonly string[]
}

export interface VerifyOptions {
  verifier?: URL
  /** Called now and then with how far it is. */
  tell?: (progress: Progress) => void
}

/**
 * @throws RuntimeError `DATA_DIR_INVALID`: there is no data directory of ours, or it is of a newer format
 */
export async function verifyDirectory(
  directory: string,
  { verifier, tell = () => {} }: VerifyOptions = {}
): Promise<StoreReport> {
  const { format } = requireMarker(directory)
  const owner = readOwnerFile(directory)
  const isLive = isAlive(owner)
  const report = { directory, format, pid: isLive ? owner.pid : null }
  if (!existsSync(join(storeFolder(directory), 'data.mdb'))) {
    const findings = [{ what: 'The data file store/data.mdb is missing.', advice: restoreAdvice, details: [] }]
    return { ...report, sound: false, bytes: 0, entries: 0, jobs: 0, findings, setAside: { count: 0, records: [] } }
  }
  const found = await verifyInChild(storeFolder(directory), { verifier, timeMs: 0, isLive, tell })
  const findings: StoreFinding[] = []
  if (found.structure !== null) {
    findings.push({ what: `The data file store/data.mdb ${found.structure}.`, advice: restoreAdvice, details: [] })
  }
  if (found.damaged > 0) {
    findings.push({
      what: `${found.damaged} of ${found.entries} records fail their checksum.`,
      advice: repairAdvice,
      details: found.damagedKeys
    })
  }
  if (found.disagreements > 0) {
    findings.push({
      what: `${found.disagreements} entries do not agree with the others.`,
      advice: repairAdvice,
      details: found.disagreeing
    })
  }
  const { bytes, entries, jobs, setAside } = found
  return { ...report, sound: findings.length === 0, bytes, entries, jobs, findings, setAside }
}

const restoreAdvice = 'Restore a backup.'
const repairAdvice =
  'Restore a backup; or stop the supervisor and run "runtime verify --repair": what is damaged is set aside, everything else goes on.'

/** @throws RuntimeError `DATA_DIR_INVALID` */
export function requireMarker(directory: string): Marker {
  const marker = existsSync(directory) ? readMarker(directory) : undefined
  if (marker !== undefined) return marker
  throw new RuntimeError(
    'DATA_DIR_INVALID',
    `Cannot verify ${directory}: it holds no store of actor-runtime. Name a data directory, such as .runtime.`,
    { directory }
  )
}
