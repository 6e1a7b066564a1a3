import type { PreparedView } from '../../core/transaction.ts'
import { type Look, styled } from './look.ts'
import { oneLine } from './printable.ts'
import { formatTable } from './table.ts'
import { formatRelative } from './time.ts'

/** `outbox list`: one line each; what should have been decided by now stands out. */
export function formatPrepared(look: Look, prepared: readonly PreparedView[]): string {
  if (prepared.length === 0) return 'Nothing is prepared and undecided.'
  return formatTable(
    look,
    ['ID', 'OUTBOX', 'OPERATIONS', 'PREPARED', 'DECISION DUE'],
    prepared.map(({ id, outbox, operations, preparedAt, undecidedAt }) => {
      const due = formatRelative(undecidedAt, look.nowMs)
      return [
        oneLine(id),
        oneLine(outbox),
        String(operations),
        formatRelative(preparedAt, look.nowMs),
        Date.parse(undecidedAt) <= look.nowMs ? styled(look, 'red', due) : due
      ]
    })
  )
}
