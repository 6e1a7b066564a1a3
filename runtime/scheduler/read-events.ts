/** From the `schedulerEvents` of the configuration to events that can fire, and those that cannot with the reason. */
import { createHash } from 'node:crypto'
import type { RuntimeConfig } from '../core/config.ts'
import { didYouMean } from '../core/did-you-mean.ts'
import { durationToMs } from '../core/duration.ts'
import { RuntimeError } from '../core/errors.ts'
import { nameCharsMax } from '../core/limits.ts'
import { isMethodPath } from '../core/method-path.ts'
import { type EventOptions, eventLabels, type ScheduledEvent } from '../core/scheduler-event.ts'
import { encodePayload } from '../queue/job-draft.ts'
import { parseSchedule, type Schedule } from './cron/schedule.ts'

/** A job of an event has the id of the event, `@` and an instant of up to 24 characters. */
const idCharsMax = nameCharsMax - 25

export interface PlannedEvent extends ScheduledEvent {
  readonly schedule: Schedule
  /** The same as long as its instants stay the same. */
  readonly timing: string
  /** The same as long as everything of it stays the same. */
  readonly fingerprint: string
  /** How far `spread` moves each of its instants. */
  readonly offsetMs: number
}

export interface InvalidEvent extends ScheduledEvent {
  /** Why it cannot fire, and what to do. */
  readonly problem: string
}

/** @returns all events: the labels in their order, then `cron` in the order of the configuration */
export function readEvents(config: RuntimeConfig): { planned: PlannedEvent[]; invalid: InvalidEvent[] } {
  const planned: PlannedEvent[] = []
  const invalid: InvalidEvent[] = []
  const ids = new Map<string, number>()
  for (const { key, isLabel, options } of written(config)) {
    const event = complete(key, isLabel, options, config, ids)
    try {
      planned.push(plan(event, config))
    } catch (error) {
      if (!(error instanceof RuntimeError)) throw error
      invalid.push({ ...event, problem: `Scheduler event "${event.id}" cannot fire: ${error.message}` })
    }
  }
  return { planned, invalid }
}

interface WrittenEvent {
  key: string
  isLabel: boolean
  options: EventOptions
}

function written({ schedulerEvents }: RuntimeConfig): WrittenEvent[] {
  const { cron = {}, ...labels } = schedulerEvents
  const lists = [
    ...eventLabels.map((label) => ({ key: label as string, isLabel: true, list: labels[label] ?? [] })),
    ...Object.entries(cron).map(([key, list]) => ({ key, isLabel: false, list }))
  ]
  return lists.flatMap(({ key, isLabel, list }) =>
    list.map((entry) => ({ key, isLabel, options: typeof entry === 'string' ? { method: entry } : entry }))
  )
}

function complete(
  key: string,
  isLabel: boolean,
  options: EventOptions,
  config: RuntimeConfig,
  ids: Map<string, number>
): ScheduledEvent {
  const { method, params = {}, timeout = null, jobName = null, attempts = null } = options
  return {
    // A label inside `cron` is another event than the label itself (S7).
    id: freeId(`${isLabel ? key : `cron ${key}`}:${method}`, ids),
    key,
    method,
    params,
    queue: options.queue ?? (key.toLowerCase().endsWith('_long') ? 'long' : 'default'),
    timeout,
    timezone: options.timezone ?? config.timezone,
    missed: options.missed ?? 'once',
    overlap: options.overlap ?? 'skip',
    spreadMs: durationToMs(options.spread) ?? 0,
    jobName,
    attempts
  }
}

/** No method path holds a `#`, so a numbered id is nobody else's. @param taken how often each id was asked for */
function freeId(id: string, taken: Map<string, number>): string {
  const ordinal = (taken.get(id) ?? 0) + 1
  taken.set(id, ordinal)
  return ordinal === 1 ? id : `${id}#${ordinal}`
}

/** @throws RuntimeError that says why it cannot fire */
function plan(event: ScheduledEvent, config: RuntimeConfig): PlannedEvent {
  if (!isMethodPath(event.method)) {
    throw refused('a method path is two or more segments with dots between them, such as "reports.daily.run".')
  }
  if (!config.queues.has(event.queue)) {
    const hint = didYouMean(event.queue, config.queues.keys())
    throw refused(`no queue "${event.queue}" is configured.${hint}`)
  }
  if (event.id.length > idCharsMax) {
    throw refused(`expression and method have more than ${idCharsMax} characters together. Shorten one of them.`)
  }
  encodePayload(event.params, 'use its params')
  const schedule = parseSchedule(event.key, {
    timezone: event.timezone,
    seed: event.id,
    tickIntervalS: config.schedulerTickIntervalS
  })
  const offsetMs = event.spreadMs === 0 ? 0 : hash(event.id) % event.spreadMs
  const timing = JSON.stringify([schedule.fields, event.timezone, offsetMs])
  const fingerprint = createHash('sha256')
    .update(JSON.stringify([event, timing]))
    .digest('base64url')
  return { ...event, schedule, offsetMs, timing, fingerprint }
}

function refused(why: string): RuntimeError {
  return new RuntimeError('CONFIG_INVALID', why)
}

/** FNV-1a: spreads names evenly, and the same name always to the same place. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let at = 0; at < text.length; at++) value = Math.imul(value ^ text.charCodeAt(at), 0x01000193) >>> 0
  return value
}
