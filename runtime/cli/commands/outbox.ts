/**
 * `runtime outbox list|commit|abort`: what programs have prepared and not decided, and a decision by hand where the program
 * is gone. `--json`: the answers of the methods `outbox.…`.
 */
import type { PreparedView, TransactionResult } from '../../core/transaction.ts'
import type { ClientSession } from '../client-session.ts'
import { present } from '../present.ts'
import { counted } from '../text/counted.ts'
import { formatPrepared } from '../text/outbox-text.ts'
import { oneLine } from '../text/printable.ts'

export async function listPrepared({ runtime, output }: ClientSession, { outbox }: { outbox?: string }): Promise<void> {
  const answer = (await runtime.call('outbox.list', present({ outbox }))) as { prepared: PreparedView[] }
  output.answer(answer, (look) => formatPrepared(look, answer.prepared))
}

export async function commitPrepared({ runtime, output }: ClientSession, id: string): Promise<void> {
  const answer = (await runtime.call('outbox.commit', { id })) as TransactionResult
  output.answer(answer, () => `Committed ${oneLine(id)}: ${counted(answer.jobs.length, 'job')} enqueued.`)
}

export async function abortPrepared({ runtime, output }: ClientSession, id: string): Promise<void> {
  const answer = await runtime.call('outbox.abort', { id })
  output.answer(answer, () => `Aborted ${oneLine(id)}: nothing of it is done.`)
}
