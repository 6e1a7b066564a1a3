/**
 * The retry rule: how long a job waits before its next attempt.
 * To add a rule: a member of {@link Backoff}, its case in {@link backoffDelayMs}, its schema in `core/job-options.ts`.
 */
import { type Duration, durationToMs } from './duration.ts'

/** As a user writes it. Durations: a number is seconds, or text with a unit. */
export interface Backoff {
  /** `fixed`: `delay` each time. `exponential`: `delay`, twice, four times, … `list`: `delays` one after the other. */
  type: 'fixed' | 'exponential' | 'list'
  /** Wait before the second attempt. Default 1 s. */
  delay?: Duration
  /** `list`: the waits, in order; the last one is used again once the list is through. */
  delays?: Duration[]
  /** Upper bound of any wait. Default: 1 day. */
  max?: Duration
  /** Share of the wait that is drawn at random, 0 to 1: with 0.2 a wait of 10 s becomes 8 to 10 s. Default 0. */
  jitter?: number
}

/** As it is stored: every field present, milliseconds. */
export interface BackoffRule {
  type: Backoff['type']
  delayMs: number
  maxMs: number
  jitter: number
  /** Of a list, one or more; otherwise empty. */
  delaysMs: readonly number[]
}

export const backoffDefault: BackoffRule = {
  type: 'fixed',
  delayMs: 0,
  maxMs: 24 * 3600 * 1000,
  jitter: 0,
  delaysMs: []
}

/** @param backoff that `backoffSchema` of `core/job-options.ts` accepts; an unchecked duration is a defect of the caller */
export function backoffRule(backoff: Backoff): BackoffRule {
  return {
    type: backoff.type,
    delayMs: checkedMs(backoff.delay ?? '1s'),
    maxMs: backoff.max === undefined ? backoffDefault.maxMs : checkedMs(backoff.max),
    jitter: backoff.jitter ?? backoffDefault.jitter,
    delaysMs: (backoff.delays ?? []).map(checkedMs)
  }
}

function checkedMs(duration: Duration): number {
  const spanMs = durationToMs(duration)
  if (spanMs === undefined) throw new TypeError(`Not a duration: ${String(duration)}`)
  return spanMs
}

/**
 * @param failures counted failures so far, 1 after the first
 * @param random a number from 0 to 1, exclusive
 * @returns whole milliseconds to wait
 */
export function backoffDelayMs(rule: BackoffRule, failures: number, random: number): number {
  const delayMs = Math.min(waitMs(rule, failures), rule.maxMs)
  return Math.round(delayMs * (1 - rule.jitter * random))
}

function waitMs({ type, delayMs, delaysMs }: BackoffRule, failures: number): number {
  switch (type) {
    case 'fixed':
      return delayMs
    case 'exponential':
      return delayMs * 2 ** Math.min(failures - 1, 52)
    case 'list':
      return delaysMs[Math.min(failures, delaysMs.length) - 1]!
  }
}
