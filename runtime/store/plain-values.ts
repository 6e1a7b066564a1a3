/**
 * MessagePack of lists of plain values, as nearly all records are: numbers, short texts, null, empty lists. Written and read here
 * it costs a fraction of what msgpackr takes, which does all others and understands these.
 */
const listBytesMax = 4096
const list = Buffer.allocUnsafeSlow(listBytesMax)
/** What is longer, or not ASCII, is left to the native encoder. */
const textInPlaceMax = 64
const uint32Max = 2 ** 32 - 1

/**
 * @param start where the list begins in the buffer that is returned
 * @returns undefined: some value is not plain, or it is long
 */
export function packPlain(values: readonly unknown[], start: number): Buffer | undefined {
  let at = start
  const { length } = values
  if (length > 15) return undefined
  list[at++] = 0x90 + length
  for (const value of values) {
    if (at + 3 * textInPlaceMax > listBytesMax) return undefined
    if (value === null) list[at++] = 0xc0
    else if (typeof value === 'number') at = writeNumber(value, at)
    else if (typeof value === 'string') {
      at = value.length <= textInPlaceMax ? writeShort(value, at) : writeLong(value, at)
      if (at === 0) return undefined
    } else if (typeof value === 'boolean') list[at++] = value ? 0xc3 : 0xc2
    else if (Array.isArray(value) && value.length === 0) list[at++] = 0x90
    else return undefined
  }
  const packed = Buffer.allocUnsafe(at)
  list.copy(packed, start, start, at)
  return packed
}

function writeNumber(value: number, start: number): number {
  let at = start
  if (!Number.isInteger(value) || value < 0 || value > uint32Max) {
    list[at++] = 0xcb
    return list.writeDoubleBE(value, at)
  }
  if (value < 0x80) list[at++] = value
  else {
    list[at++] = 0xce
    list[at++] = value >>> 24
    list[at++] = value >>> 16
    list[at++] = value >>> 8
    list[at++] = value
  }
  return at
}

function writeShort(text: string, start: number): number {
  let at = start
  const { length } = text
  if (length < 32) list[at++] = 0xa0 + length
  else {
    list[at++] = 0xd9
    list[at++] = length
  }
  for (let index = 0; index < length; index++) {
    const code = text.charCodeAt(index)
    if (code > 0x7f) return writeLong(text, start)
    list[at++] = code
  }
  return at
}

/** @returns 0: there is no room for it */
function writeLong(text: string, start: number): number {
  if (start + 3 + 3 * text.length > listBytesMax) return 0
  const bytes = list.write(text, start + 3, 'utf8')
  list[start] = 0xda
  list[start + 1] = bytes >>> 8
  list[start + 2] = bytes
  return start + 3 + bytes
}

/**
 * Any list of plain values, whoever wrote it.
 *
 * @param start where the list begins in `bytes`, which end with it
 * @returns undefined: some value is not plain
 */
export function unpackPlain(bytes: Buffer, start: number): unknown[] | undefined {
  const length = bytes[start]! - 0x90
  if (!(length >= 0 && length <= 15)) return undefined
  const values: unknown[] = []
  let at = start + 1
  for (let index = 0; index < length; index++) {
    const mark = bytes[at++]!
    if (mark < 0x80) values.push(mark)
    else if (mark >= 0xa0 && mark < 0xc0) {
      const end = at + mark - 0xa0
      values.push(bytes.toString('utf8', at, end))
      at = end
    } else {
      switch (mark) {
        case 0x90:
          values.push([])
          break
        case 0xc0:
          values.push(null)
          break
        case 0xc2:
          values.push(false)
          break
        case 0xc3:
          values.push(true)
          break
        case 0xcb:
          values.push(bytes.readDoubleBE(at))
          at += 8
          break
        case 0xcc:
          values.push(bytes[at++])
          break
        case 0xcd:
          values.push(bytes.readUInt16BE(at))
          at += 2
          break
        case 0xce:
          values.push(bytes.readUInt32BE(at))
          at += 4
          break
        case 0xd9:
          values.push(bytes.toString('utf8', at + 1, at + 1 + bytes[at]!))
          at += 1 + bytes[at]!
          break
        case 0xda: {
          const end = at + 2 + bytes.readUInt16BE(at)
          values.push(bytes.toString('utf8', at + 2, end))
          at = end
          break
        }
        default:
          return undefined
      }
    }
  }
  return values
}
