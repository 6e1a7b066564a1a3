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

/** For the bytes of a word, by how many come behind them. */
const tables = [table, new Uint32Array(256), new Uint32Array(256), new Uint32Array(256)] as const
for (let byte = 0; byte < 256; byte++) {
  for (let at = 1; at < 4; at++) {
    const before = tables[at - 1]![byte]!
    tables[at]![byte] = (before >>> 8) ^ table[before & 0xff]!
  }
}
const [, one, two, three] = tables

function continued(sum: number, bytes: Buffer, start: number, end: number): number {
  let rest = sum
  let at = start
  for (; at + 4 <= end; at += 4) {
    rest ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    rest = three[rest & 0xff]! ^ two[(rest >>> 8) & 0xff]! ^ one[(rest >>> 16) & 0xff]! ^ table[rest >>> 24]!
  }
  for (; at < end; at++) rest = (rest >>> 8) ^ table[(rest ^ bytes[at]!) & 0xff]!
  return rest
}
