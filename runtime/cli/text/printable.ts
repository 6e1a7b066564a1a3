/**
 * Job names, messages and results are other people's text: a control character in them could move the cursor, rewrite
 * lines or retitle the window of whoever looks at them.
 */

// biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is looked for
const controls = /[\u0000-\u001f\u007f-\u009f]/g
// biome-ignore lint/suspicious/noControlCharactersInRegex: as above, but line breaks and tabs stay
const controlsButBreaks = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g

/** For one line: control characters become spaces. */
export function oneLine(text: string): string {
  return text.replace(controls, ' ')
}

/** For a block such as a stack: line breaks and tabs stay, other control characters become `\u001b` and the like. */
export function block(text: string): string {
  return text.replace(controlsButBreaks, escaped)
}

/** JSON for people: indented over several lines. */
export function prettyJson(value: unknown): string {
  return block(JSON.stringify(value ?? null, null, 2))
}

const briefCharsMax = 80

/** JSON in a cell of a table: as much of it as helps to tell one from another. */
export function briefJson(value: unknown): string {
  const text = oneLine(JSON.stringify(value ?? null))
  return text.length > briefCharsMax ? `${text.slice(0, briefCharsMax - 1)}…` : text
}

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`
}

/** Shifts every line to the right. */
export function indented(text: string, prefix = '  '): string {
  return text
    .split('\n')
    .map((line) => (line === '' ? line : prefix + line))
    .join('\n')
}
