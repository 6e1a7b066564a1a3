/**
 * What is done about JSON that is nested too deeply. A scalar has depth 0, `[]` 1, `[[]]` 2.
 *
 * `JSON.parse` takes millions of levels, and seconds for them; most code that walks a value afterwards does not take them
 * at all. So what is too deep is cut out of the text before it is parsed, and the value is still too deep, but not by
 * much. Nothing here recurses.
 */
const quote = 0x22
const backslash = 0x5c
const openArray = 0x5b
const openObject = 0x7b
const closeArray = 0x5d
const closeObject = 0x7d

/**
 * @returns the JSON `text` in which arrays and objects one level deeper than `depthMax` are empty, so that it is still too
 * deep, but by no more than that one level
 */
export function cutBelow(text: Buffer, depthMax: number): Buffer {
  const kept = Buffer.alloc(text.length)
  let length = 0
  let depth = 0
  for (let at = 0; at < text.length; at++) {
    const start = at
    const byte = text[at]
    const closes = byte === closeArray || byte === closeObject
    if (byte === quote) at = endOfString(text, at)
    else if (closes) depth -= 1
    // Of a level that is too deep, the brackets stand and what is between them goes.
    if (depth <= depthMax) length += text.copy(kept, length, start, at + 1)
    if (byte === openArray || byte === openObject) depth += 1
  }
  return kept.subarray(0, length)
}

function endOfString(text: Buffer, start: number): number {
  let at = start + 1
  while (at < text.length && text[at] !== quote) at += text[at] === backslash ? 2 : 1
  return at
}

/** @returns whether some array or object in `value` lies deeper than `depthMax` */
export function valueDeeperThan(value: unknown, depthMax: number): boolean {
  let level = [value].filter(isContainer)
  for (let depth = 1; level.length > 0; depth++) {
    if (depth > depthMax) return true
    level = level.flatMap((container) => Object.values(container)).filter(isContainer)
  }
  return false
}

function isContainer(value: unknown): value is object {
  return typeof value === 'object' && value !== null
}
