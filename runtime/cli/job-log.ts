/** The log of `serve`: events of jobs become pino records on standard error. Nothing that decides about jobs writes one. */
import { destination, type Level, type Logger, pino, stdTimeFunctions } from 'pino'
import { type EventStream, type JobEvent, type JobEventType, jobEventTypes } from '../core/events.ts'

export type Log = Logger

/** @param level `error`, `warn`, `info`, `debug` or `silent` */
export function openLog(level: string): Log {
  // Synchronous: the last records before an end by force are the ones that matter.
  return pino(
    { level, base: { pid: process.pid }, timestamp: stdTimeFunctions.isoTime },
    destination({ dest: 2, sync: true })
  )
}

const levels: Readonly<Partial<Record<JobEventType, Level>>> = {
  failed: 'error',
  retrying: 'warn',
  interrupted: 'warn',
  skipped: 'warn',
  missed: 'warn',
  damaged: 'error'
}

/** Everything that is not in the table is for debugging, so below that level nobody needs to build those events. */
export function subscribeLog(log: Log, events: EventStream): void {
  const types = log.isLevelEnabled('debug') ? jobEventTypes : (Object.keys(levels) as JobEventType[])
  events.subscribe({ types }, (event) => record(log, event))
}

function record(log: Log, event: JobEvent): void {
  const { type, at: _at, ...facts } = event
  log[levels[type] ?? 'debug'](facts, textOf(type))
}

function textOf(type: JobEventType): string {
  if (type === 'damaged') return 'damaged record set aside'
  return type === 'skipped' || type === 'missed' ? `scheduler event ${type}` : `job ${type}`
}
