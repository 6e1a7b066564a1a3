/** @returns `text`, cut to `charsMax` characters, of which the last is an ellipsis where something was cut. */
export function boundedText(text: string, charsMax: number): string {
  return text.length <= charsMax ? text : `${text.slice(0, charsMax - 1)}…`
}
