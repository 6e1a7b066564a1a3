/**
 * What crosses between the pool and one of its threads.
 *
 * When it starts, a thread sends a {@link ThreadHello} to its parent: a port of its own, so that whatever a job does with `parentPort`,
 * it cannot disturb this channel, and what a killed job still says ends at a closed port; and memory that both share (core/frame-memory.ts).
 *
 * A task is a frame of jobs, which the thread runs one after the other. Each message says which job it is about. Of one job that is `called`
 * where it is asked for, any number of `progress`, `log` and `asked`, and `outcome`, unless that is in the shared memory. Each
 * outcome is told when its job ends, since the next job may block the thread for ever; the value of the task itself says
 * only that all are over.
 *
 * A job that left something behind (see thread.ts) has its `outcome` posted, then `retire`: the thread must get no further job,
 * and the pool takes back what is left of the frame.
 *
 * The other way the port carries the answers to what was `asked`, and nothing else.
 */
import type { MessagePort } from 'node:worker_threads'
import type { JobLogLine } from '../core/job.ts'
import type { PackedJobs } from '../core/packed-jobs.ts'
import type { JobAnswer, JobMessage, JobQuestion, Outcome } from '../core/pool.ts'

export interface ThreadHello {
  port: MessagePort
  /** Of a `FrameMemory`. */
  memory: SharedArrayBuffer
  /** The thread, as the kernel counts; null where it does not say. */
  taskId: number | null
}

/** `number`: no other frame of the thread has it. */
export type FrameTask = { number: number } & ({ job: JobMessage } | { jobs: PackedJobs })

export type ThreadMessage = { frame: number; index: number } & JobWord

export type JobWord =
  /** The method is called next. */
  | { type: 'called' }
  | { type: 'progress'; percent: number; stage: string | null }
  | { type: 'log'; line: JobLogLine }
  /** `number`: of the question, from 1 in each thread. */
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
