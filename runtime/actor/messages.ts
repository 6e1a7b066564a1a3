/**
 * What crosses between the pool and one of its threads. Each task brings a port of its own: whatever a job does with
 * `parentPort`, it cannot disturb this channel, and what a killed job still says ends at a closed port. Order on the port
 * is `started`, `called` where it is asked for, then any number of `progress`, `log` and `asked`. The outcome is the value of the task itself; the pool reads the
 * port empty before it passes that on.
 *
 * One exception: a job that left something behind (see thread.ts) has its `outcome` told on the port, then `retire`: the
 * thread must get no further job.
 *
 * The other way the port carries the answers to what was `asked`, and nothing else.
 */
import type { MessagePort } from 'node:worker_threads'
import type { JobLogLine } from '../core/job.ts'
import type { JobAnswer, JobMessage, JobQuestion, Outcome } from '../core/pool.ts'

export interface ThreadTask {
  job: JobMessage
  port: MessagePort
}

/** null: the outcome went over the port. */
export type TaskValue = Outcome | null

export type ThreadMessage =
  /** `taskId`: the thread, as the kernel counts; null where it does not say. */
  | { type: 'started'; taskId: number | null }
  /** The method is called next. */
  | { type: 'called' }
  | { type: 'progress'; percent: number; stage: string | null }
  | { type: 'log'; line: JobLogLine }
  /** `number`: of the question, from 1 in each attempt. */
  | { type: 'asked'; number: number; question: JobQuestion }
  | { type: 'outcome'; outcome: Outcome }
  | { type: 'retire' }

/** To the thread: the answer to the question of that number. */
export interface ThreadAnswer {
  number: number
  answer: JobAnswer
}

/** One export of a module, as the child process of scan.ts tells it. */
export interface ScannedExport {
  name: string
  /** `function` for what can be a method, `document` for a document type; otherwise what it is, for messages. */
  kind: string
  functionName: string
  /** SHA-256 of the function's source text, hexadecimal. */
  sourceHash: string
  /** Of a document type: the version of its state, and the methods that can be called. */
  document?: { version: number; methods: string[] }
}

/** `ready` once; then one of the others for each file asked for, in that order. */
export type ScanMessage =
  | { type: 'ready' }
  | { type: 'module'; file: string; exports: ScannedExport[] }
  | { type: 'failure'; file: string; message: string }
