import type { DocumentView, ReminderView } from '../../core/document.ts'
import type { Look } from './look.ts'
import { briefJson, oneLine, prettyJson } from './printable.ts'
import { section } from './section.ts'
import { formatBytes } from './status-text.ts'
import { formatPairs, formatTable } from './table.ts'
import { formatInstant, formatRelative } from './time.ts'

/** `doc list`: one line each. */
export function formatDocuments(look: Look, documents: readonly DocumentView[]): string {
  if (documents.length === 0) return 'No documents.'
  return formatTable(
    look,
    ['NAME', 'UPDATED', 'SIZE', 'VERSION', 'REMINDERS', 'STATE'],
    documents.map(({ name, updatedAt, bytes, version, reminders, state }) => [
      oneLine(name),
      formatRelative(updatedAt, look.nowMs),
      formatBytes(bytes),
      String(version),
      reminders.length === 0 ? '-' : String(reminders.length),
      briefJson(state)
    ])
  )
}

/** `doc get`: everything there is to know. */
export function formatDocument(look: Look, document: DocumentView): string {
  const parts = [
    formatPairs(look, [
      ['type', oneLine(document.type)],
      ['name', oneLine(document.name)],
      ['version', String(document.version)],
      ['revision', String(document.revision)],
      ['size', formatBytes(document.bytes)],
      ['created', formatInstant(document.createdAt, look.nowMs)],
      ['updated', formatInstant(document.updatedAt, look.nowMs)]
    ]),
    section(look, 'state', prettyJson(document.state))
  ]
  if (document.reminders.length > 0) {
    parts.push(section(look, 'reminders', formatReminders(look, document.reminders)))
  }
  return parts.join('\n')
}

function formatReminders(look: Look, reminders: readonly ReminderView[]): string {
  return formatTable(
    { ...look, columns: look.columns === null ? null : look.columns - 2 },
    ['NAME', 'METHOD', 'NEXT', 'CRON', 'PARAMS'],
    reminders.map(({ name, method, nextAt, cron, timezone, params }) => [
      oneLine(name),
      oneLine(method),
      formatInstant(nextAt, look.nowMs),
      cron === null ? '-' : oneLine(timezone === null ? cron : `${cron} ${timezone}`),
      briefJson(params)
    ])
  )
}
