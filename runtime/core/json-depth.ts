/**
 * @param text well-formed JSON
 * @returns how deeply its arrays and objects are nested; found without recursion, so safe for any depth
 */
export function jsonDepth(text: string): number {
  let depth = 0
  let deepest = 0
  for (let at = 0; at < text.length; at++) {
    switch (text.charCodeAt(at)) {
      case 0x22: // '"': skip the string
        at = endOfString(text, at)
        break
      case 0x5b: // '['
      case 0x7b: // '{'
        if (++depth > deepest) deepest = depth
        break
      case 0x5d: // ']'
      case 0x7d: // '}'
        depth--
    }
  }
  return deepest
}

function endOfString(text: string, start: number): number {
  for (let end = text.indexOf('"', start + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let backslashes = 0
    while (text.charCodeAt(end - 1 - backslashes) === 0x5c) backslashes++
    if (backslashes % 2 === 0) return end
  }
  return text.length
}
