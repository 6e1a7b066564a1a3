/** Reading and writing of what is kept of scheduler events. */
import { eventKey, metaKey } from '../store/keys.ts'
import {
  decodeEvent,
  decodeScheduler,
  type EventRecord,
  encodeEvent,
  encodeScheduler,
  type SchedulerRecord
} from '../store/records.ts'
import type { Reader, Transaction } from '../store/store.ts'

export function readEvent(reader: Reader, id: string): EventRecord | undefined {
  const key = eventKey(id)
  const value = reader.get(key)
  return value === undefined ? undefined : decodeEvent(key, value)
}

export function writeEvent(transaction: Transaction, event: EventRecord): void {
  const key = eventKey(event.id)
  transaction.put(key, encodeEvent(key, event))
}

export function readScheduler(reader: Reader): SchedulerRecord {
  const key = metaKey('scheduler')
  const value = reader.get(key)
  return value === undefined ? { paused: false, maintenance: false } : decodeScheduler(key, value)
}

export function writeScheduler(transaction: Transaction, scheduler: SchedulerRecord): void {
  const key = metaKey('scheduler')
  transaction.put(key, encodeScheduler(key, scheduler))
}
