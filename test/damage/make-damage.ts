/** Ways in which the bytes of a file are not those that were written. Each takes a random source and says what it did. */
export type Damage = (file: Buffer, random: () => number) => { file: Buffer; what: string }

const pageBytes = 4096
const integer = (random: () => number, max: number) => Math.floor(random() * max)

function randomBytes(random: () => number, count: number): Buffer {
  return Buffer.from(Array.from({ length: count }, () => integer(random, 256)))
}

/** Where keys and values of entries are that follow from others, in pages that may be in use (store/pages.ts has the format). */
function indexEntries(file: Buffer): { start: number; end: number }[] {
  const found: { start: number; end: number }[] = []
  for (let page = 2 * pageBytes; page < file.length; page += pageBytes) {
    const nodes = file.readUInt16LE(page + 20) >> 1
    if (file.readUInt16LE(page + 18) !== 2 || nodes > pageBytes / 4) continue
    for (let node = 0; node < nodes; node++) {
      const start = page + 24 + file.readUInt16LE(page + 24 + 2 * node)
      const end = start + 8 + file.readUInt16LE(start + 6) + file.readUInt32LE(start)
      if ('RGWFZTBVAN'.includes(String.fromCharCode(file[start + 8]!)) && end < page + pageBytes)
        found.push({ start: start + 8, end })
    }
  }
  return found
}

/** Where the values are that have pages of their own. */
function largeValues(file: Buffer): number[] {
  const pages = Array.from({ length: file.length / pageBytes }, (_, page) => page * pageBytes)
  return pages.filter((page) => page >= 2 * pageBytes && file.readUInt16LE(page + 18) === 4)
}

function changed(file: Buffer, what: string, change: (copy: Buffer) => void): { file: Buffer; what: string } {
  const copy = Buffer.from(file)
  change(copy)
  return { file: copy, what }
}

export const damages: Readonly<Record<string, Damage>> = {
  'a flipped bit': (file, random) => {
    const [at, bit] = [integer(random, file.length), integer(random, 8)]
    return changed(file, `bit ${bit} of byte ${at}`, (copy) => {
      copy[at]! ^= 1 << bit
    })
  },
  'a flipped bit of a header': (file, random) => {
    const [at, bit] = [integer(random, 2) * pageBytes + integer(random, 168), integer(random, 8)]
    return changed(file, `bit ${bit} of byte ${at}`, (copy) => {
      copy[at]! ^= 1 << bit
    })
  },
  'a flipped bit of the head of a page': (file, random) => {
    const page = integer(random, file.length / pageBytes)
    const [at, bit] = [page * pageBytes + integer(random, 64), integer(random, 8)]
    return changed(file, `bit ${bit} of byte ${at}`, (copy) => {
      copy[at]! ^= 1 << bit
    })
  },
  'a flipped bit of an entry without a checksum': (file, random) => {
    const places = indexEntries(file)
    const { start, end } = places[integer(random, places.length)]!
    const [at, bit] = [start + integer(random, end - start), integer(random, 8)]
    return changed(file, `bit ${bit} of byte ${at}`, (copy) => {
      copy[at]! ^= 1 << bit
    })
  },
  'a flipped bit of a large value': (file, random) => {
    const pages = largeValues(file)
    const [page, bit] = [pages[integer(random, pages.length)]!, integer(random, 8)]
    const at = page + 24 + integer(random, 2_000)
    return changed(file, `bit ${bit} of byte ${at}`, (copy) => {
      copy[at]! ^= 1 << bit
    })
  },
  'random bytes': (file, random) => {
    const [at, bytes] = [integer(random, file.length), randomBytes(random, 1 + integer(random, 64))]
    return changed(file, `${bytes.length} bytes at ${at}`, (copy) => bytes.copy(copy, at))
  },
  'a cut off end': (file, random) => {
    const length = integer(random, file.length)
    return { file: file.subarray(0, length), what: `${length} of ${file.length} bytes` }
  },
  'a page of zeros': (file, random) => {
    const page = integer(random, file.length / pageBytes)
    return changed(file, `page ${page}`, (copy) => copy.fill(0, page * pageBytes, (page + 1) * pageBytes))
  },
  'half a page of zeros': (file, random) => {
    const half = integer(random, (2 * file.length) / pageBytes)
    return changed(file, `half page ${half}`, (copy) =>
      copy.fill(0, (half * pageBytes) / 2, ((half + 1) * pageBytes) / 2)
    )
  },
  'a page of random bytes': (file, random) => {
    const page = integer(random, file.length / pageBytes)
    return changed(file, `page ${page}`, (copy) => randomBytes(random, pageBytes).copy(copy, page * pageBytes))
  },
  'a page in the place of another': (file, random) => {
    const [from, to] = [integer(random, file.length / pageBytes), integer(random, file.length / pageBytes)]
    return changed(file, `page ${from} at ${to}`, (copy) =>
      file.copy(copy, to * pageBytes, from * pageBytes, (from + 1) * pageBytes)
    )
  },
  'a page in the place of another, with the number of that': (file, random) => {
    const [from, to] = [integer(random, file.length / pageBytes), integer(random, file.length / pageBytes)]
    return changed(file, `page ${from} at ${to}`, (copy) => {
      file.copy(copy, to * pageBytes + 8, from * pageBytes + 8, (from + 1) * pageBytes)
    })
  }
}
