/** Documents: keyed actors with durable state (E11). */
import type { Duration } from './duration.ts'
import type { Json } from './json.ts'

/** A document: path of the exported class, and the name that tells it from others of its type. */
export interface DocumentId {
  type: string
  name: string
}

/** A document as it is shown. */
export interface DocumentView extends DocumentId {
  state: Json
  /** Version of the class that wrote the state. */
  version: number
  /** Changes with every change of the state, also where the document is removed and made again. */
  revision: number
  /** Of the state, as JSON text. */
  bytes: number
  createdAt: string
  updatedAt: string
  reminders: ReminderView[]
}

/** A call that a document has asked for. */
export interface ReminderView {
  name: string
  method: string
  params: Json
  nextAt: string
  /** null: it happens once. */
  cron: string | null
  timezone: string | null
}

/** `cursor` is null on the last page. */
export interface DocumentPage {
  documents: DocumentView[]
  cursor: string | null
}

/** A document type, as its module exports it. */
export interface DocumentType {
  type: string
  file: string
  /** Version of its state. */
  version: number
  /** Names of the methods that can be called. */
  methods: readonly string[]
}

/** When a reminder is due; one of `at`, `delay` and `cron`. */
export interface ReminderRequest {
  /** Method of the same document. */
  method: string
  params?: unknown
  /** ISO 8601 instant, epoch milliseconds, or a Date. */
  at?: string | number | Date
  delay?: Duration
  /** Cron expression, or a label such as `daily`: it is due again and again. */
  cron?: string
  /** Time zone of `cron`. Default: UTC. */
  timezone?: string
  /** Queue of its jobs. Default: `default`. */
  queue?: string
}

/** What a job asks for about a reminder, done as it completes. Instants are epoch milliseconds or ISO 8601 texts. */
export type ReminderChange =
  | ({ type: 'set'; name: string } & Omit<ReminderRequest, 'at'> & { at?: string | number })
  | { type: 'cancel'; name: string }

/** The class path and the method name in the path of a document's method. */
export function splitMethodPath(path: string): { type: string; method: string } {
  const dot = path.lastIndexOf('.')
  return { type: path.slice(0, dot), method: path.slice(dot + 1) }
}
