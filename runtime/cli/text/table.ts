/**
 * Tables without borders: a head, then rows, columns two spaces apart. On a terminal the last column is cut to the width
 * of the window so that a row stays a line; elsewhere nothing is cut.
 */
import { createRequire } from 'node:module'
import { stripVTControlCharacters } from 'node:util'
import type CliTable from 'cli-table3'
import { type Look, styled } from './look.ts'

const require = createRequire(import.meta.url)
const gap = 2
const lastColumnMin = 12

const noBorders = Object.fromEntries(
  [
    ...['top', 'top-mid', 'top-left', 'top-right', 'bottom', 'bottom-mid', 'bottom-left', 'bottom-right'],
    ...['left', 'left-mid', 'mid', 'mid-mid', 'right', 'right-mid', 'middle']
  ].map((name) => [name, ''])
)

/** @param rows cells of one line each, styled or not */
export function formatTable(look: Look, head: readonly string[], rows: readonly (readonly string[])[]): string {
  const lastWidth = lastColumnWidth(look, [head, ...rows])
  const Table = require('cli-table3') as typeof CliTable
  const table = new Table({
    head: head.map((title) => styled(look, 'dim', title)),
    chars: noBorders,
    style: { head: [], border: [], 'padding-left': 0, 'padding-right': gap },
    colWidths: lastWidth === null ? [] : head.map((_, index) => (index === head.length - 1 ? lastWidth : null))
  })
  table.push(...rows.map((row) => [...row]))
  return table
    .toString()
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
}

/** @returns the width to force on the last column, null where everything fits. */
function lastColumnWidth(look: Look, rows: readonly (readonly string[])[]): number | null {
  if (look.columns === null) return null
  const widths = (rows[0] ?? []).map((_, index) => Math.max(...rows.map((row) => width(row[index] ?? '') + gap)))
  const others = widths.slice(0, -1).reduce((sum, each) => sum + each, 0)
  // The gap after the last column is trimmed away, so it may reach beyond the window.
  const left = Math.max(look.columns - others, lastColumnMin) + gap
  return (widths.at(-1) ?? 0) > left ? left : null
}

/** Lines of `name  value`, the values aligned. */
export function formatPairs(look: Look, pairs: readonly (readonly [name: string, value: string])[]): string {
  const nameWidth = Math.max(...pairs.map(([name]) => name.length))
  return pairs.map(([name, value]) => `${styled(look, 'dim', name.padEnd(nameWidth))}  ${value}`).join('\n')
}

function width(text: string): number {
  return stripVTControlCharacters(text).length
}
