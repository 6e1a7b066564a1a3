/**
 * The value of a finished job's place ('F'), or its part of that which neighbours share: enough to pass over the jobs that a filter does not want, and to keep the
 * retention of a queue, without reading the job itself.
 *
 * ```
 *  bytes:4 flags:1 error:1 method:4 jobName:4 key:4
 * ```
 *
 * `bytes` are those of the job's entries. `flags` is 1 where the job says itself how long it is kept, so that the retention
 * of the queue passes it over. `error` is 1 + the index of the error code, 0 for none. The texts are CRC-32s: equal texts
 * have equal ones, so a filter that finds another one may pass over the job, and must look at it otherwise.
 */
import { crc32 } from 'node:zlib'
import { type JobErrorCode, jobErrorCodes } from '../core/errors.ts'

/** What of a job goes into its digest. */
export interface DigestedJob {
  bytes: number
  keepsItself: boolean
  errorCode: JobErrorCode | null
  method: string
  jobName: string | null
  key: string | null
}

/** The order is stored: codes are only ever appended to `core/errors.ts`. */
const codes = Object.keys(jobErrorCodes) as JobErrorCode[]
export const digestBytes = 18

export function encodeDigest({ bytes, keepsItself, errorCode, method, jobName, key }: DigestedJob): Buffer {
  const digest = Buffer.allocUnsafe(digestBytes)
  writeDigest(digest, 0, bytes, method, jobName, key)
  digest[4] = keepsItself ? 1 : 0
  digest[5] = errorCode === null ? 0 : 1 + codes.indexOf(errorCode)
  return digest
}

/** Of a job without an error, which the retention of its queue looks after. */
export function writeDigest(
  digests: Buffer,
  at: number,
  bytes: number,
  method: string,
  jobName: string | null,
  key: string | null
): void {
  digests.writeUInt32BE(Math.min(bytes, 2 ** 32 - 1), at)
  digests[at + 4] = 0
  digests[at + 5] = 0
  digests.writeUInt32BE(hashOf(method), at + 6)
  digests.writeUInt32BE(hashOf(jobName), at + 10)
  digests.writeUInt32BE(hashOf(key), at + 14)
}

/** Of a job that format 1 finished, which has no digest: nothing is known. */
export function bytesOfDigest(digest: Buffer): number {
  return digest.length < digestBytes ? 0 : digest.readUInt32BE(0)
}

export function keepsItself(digest: Buffer): boolean {
  return digest.length === digestBytes && digest[4] === 1
}

/** What a filter asks of digests. */
export interface DigestFilter {
  errorCode?: JobErrorCode | undefined
  method?: string | undefined
  jobName?: string | undefined
  key?: string | undefined
}

/** @returns whether a job with this digest may pass the filter; asked for many digests, hence made once */
export function digestTest({ errorCode, method, jobName, key }: DigestFilter): (digest: Buffer) => boolean {
  const error = errorCode === undefined ? undefined : 1 + codes.indexOf(errorCode)
  const hashes = [method, jobName, key].map((text) => (text === undefined ? undefined : hashOf(text)))
  return (digest) =>
    digest.length < digestBytes ||
    ((error === undefined || digest[5] === error) &&
      hashes.every((hash, at) => hash === undefined || digest.readUInt32BE(6 + 4 * at) === hash))
}

/** Few texts, such as the paths of methods, come again and again. */
const hashes = new Map<string, number>()
const hashesMax = 1_000

function hashOf(text: string | null): number {
  if (text === null) return 0
  let hash = hashes.get(text)
  if (hash === undefined) {
    hash = crc32(text)
    if (hashes.size >= hashesMax) hashes.clear()
    hashes.set(text, hash)
  }
  return hash
}
