/** What is kept of records that failed their checksum ('d' in store/keys.ts). */
import { RuntimeError } from '../core/errors.ts'
import { documentOfKey, setAsideKey, setAsideRange } from '../store/keys.ts'
import { describeKey, RecordDamaged, setAsideCodec } from '../store/records.ts'
import type { Reader, Transaction } from '../store/store.ts'

/** Whether a record, as it is, has been set aside. A document stays where it is besides. */
export function isSetAside(reader: Reader, key: Buffer, value: Buffer): boolean {
  const aside = setAsideKey(key)
  const kept = reader.get(aside)
  if (kept === undefined) return false
  try {
    return setAsideCodec.decode(aside, kept).value.equals(value)
  } catch (error) {
    if (error instanceof RecordDamaged) return false
    throw error
  }
}

export function keepAside(transaction: Transaction, key: Buffer, value: Buffer, reason: string, atMs: number): void {
  const aside = setAsideKey(key)
  transaction.put(aside, setAsideCodec.encode(aside, { reason, atMs, value }))
}

export function countSetAside(reader: Reader): number {
  let count = 0
  for (const _ of reader.keys(setAsideRange)) count++
  return count
}

/** A damaged record as callers are told of it. */
export function dataDamaged(key: Buffer, isDocument: boolean): RuntimeError {
  if (!isDocument) {
    return new RuntimeError(
      'DATA_DAMAGED',
      `Cannot read the record ${describeKey(key)}: it is damaged. It is set aside now; ask again.`,
      { key: key.toString('hex') }
    )
  }
  const { type, name } = documentOfKey(key)
  return new RuntimeError(
    'DATA_DAMAGED',
    `Cannot read the document "${name}" of the type "${type}": what is stored of it is damaged. Take it from a backup, or remove it (doc.remove); until then its jobs fail.`,
    { type, name }
  )
}
