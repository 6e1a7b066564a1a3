/** CRC-32 of the key and the body of a record. What is short is computed here: a call of zlib costs more than it does. */
import { crc32 } from 'node:zlib'

const shortBytes = 160

const table = new Uint32Array(256).map((_, byte) => {
  let rest = byte
  for (let bit = 0; bit < 8; bit++) rest = rest & 1 ? (rest >>> 1) ^ 0xedb88320 : rest >>> 1
  return rest
})

/** @param start of the body in `value`, which goes on to its end */
export function checksumOf(key: Buffer, value: Buffer, start: number): number {
  const sum = ~continued(-1, key, 0, key.length) >>> 0
  if (value.length - start > shortBytes) return crc32(value.subarray(start), sum)
  return ~continued(~sum, value, start, value.length) >>> 0
}

function continued(sum: number, bytes: Buffer, start: number, end: number): number {
  let rest = sum
  for (let at = start; at < end; at++) rest = (rest >>> 8) ^ table[(rest ^ bytes[at]!) & 0xff]!
  return rest
}
