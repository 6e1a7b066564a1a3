/** Reading and writing of what is kept of scheduler events. */
import { eventKey, metaKey } from '../store/keys.ts'
import { type EventRecord, eventCodec, type SchedulerRecord, schedulerCodec } from '../store/records.ts'
import type { Reader, Transaction } from '../store/store.ts'

export function readEvent(reader: Reader, id: string): EventRecord | undefined {
  const key = eventKey(id)
  const value = reader.get(key)
  return value === undefined ? undefined : eventCodec.decode(key, value)
}

export function writeEvent(transaction: Transaction, event: EventRecord): void {
  const key = eventKey(event.id)
  transaction.put(key, eventCodec.encode(key, event))
}

export function readScheduler(reader: Reader): SchedulerRecord {
  const key = metaKey('scheduler')
  const value = reader.get(key)
  return value === undefined ? { paused: false, maintenance: false } : schedulerCodec.decode(key, value)
}

export function writeScheduler(transaction: Transaction, scheduler: SchedulerRecord): void {
  const key = metaKey('scheduler')
  transaction.put(key, schedulerCodec.encode(key, scheduler))
}
