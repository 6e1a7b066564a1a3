/** Several changes in one durable commit: all of them or none. */
import type { EnqueueRequest, EnqueueResult } from './job.ts'

/** `revision`: only if the document still has it; null: only if there is none. Left out: whatever it has. */
export type TransactionOperation =
  | { op: 'enqueue'; job: EnqueueRequest }
  | { op: 'setState'; type: string; name: string; state: unknown; revision?: number | null }
  | { op: 'removeState'; type: string; name: string; revision?: number | null }
  | { op: 'cancel'; id: string }

/** The answer to each `enqueue`, in order. */
export interface TransactionResult {
  jobs: EnqueueResult[]
}

/** Operations that wait for the decision of the program that prepared them. */
export interface PreparedView {
  id: string
  outbox: string
  operations: number
  preparedAt: string
  /** When whoever prepared it should have decided. */
  undecidedAt: string
}
