/**
 * A program that embeds a runtime and does transactions in several lanes at a time until it is killed. Arguments: its folder.
 * It first says what it finds, as one line of JSON ({@link Found}), then `runs`, then `<lane> <number>` for each transaction that is
 * acknowledged.
 */
import { join } from 'node:path'
import { createRuntime, type Runtime, RuntimeError } from '../../runtime/index.ts'

export const lanes = 3
export const jobsPerTransaction = 14
export const documentsPerTransaction = 5
const type = 'bank.Account'

/** Of one lane. */
export interface Found {
  /** Numbers of the transactions that its documents show; 0: not there. */
  documents: number[]
  /** How many of the jobs of each transaction are there, those of the last ones. */
  jobs: Record<number, number>
  /** States of the job that each transaction cancels, which is of the one before. */
  cancelled: Record<number, string>
}

const jobId = (lane: number, number: number, job: number) => `${lane}-${number}-${job}`
const documentName = (lane: number, document: number) => `${lane}-${document}`

async function main(folder: string): Promise<void> {
  const runtime = await createRuntime({ dataDir: join(folder, 'data'), actors: join(folder, 'actors') })
  const found = await Promise.all(Array.from({ length: lanes }, (_, lane) => find(runtime, lane)))
  console.log(JSON.stringify(found))
  // The first call takes longer than any other.
  await runtime.transaction((tx) => tx.setState(type, 'first', 1))
  console.log('runs')
  await Promise.all(found.map(({ documents }, lane) => run(runtime, lane, Math.max(...documents))))
}

async function run(runtime: Runtime, lane: number, last: number): Promise<never> {
  for (let number = last + 1; ; number++) {
    await runtime.transaction(async (tx) => {
      // The one before, so that each transaction also has a condition.
      await tx.getState(type, documentName(lane, 0))
      for (let job = 0; job < jobsPerTransaction; job++) {
        tx.enqueue('bank.idle', { number }, { jobId: jobId(lane, number, job), delay: '10h' })
      }
      for (let document = 0; document < documentsPerTransaction; document++) {
        tx.setState(type, documentName(lane, document), { number, filling: 'x'.repeat(number % 3_000) })
      }
      if (number > 1) tx.cancel(jobId(lane, number - 1, 0))
    })
    console.log(`${lane} ${number}`)
  }
}

async function find(runtime: Runtime, lane: number): Promise<Found> {
  const documents = await Promise.all(
    Array.from({ length: documentsPerTransaction }, (_, document) => numberOf(runtime, documentName(lane, document)))
  )
  const last = Math.max(...documents)
  const found: Found = { documents, jobs: {}, cancelled: {} }
  for (let number = Math.max(last - 3, 1); number <= last + 1; number++) {
    const ids = Array.from({ length: jobsPerTransaction }, (_, job) => jobId(lane, number, job))
    const states = await Promise.all(ids.map((id) => stateOf(runtime, id)))
    found.jobs[number] = states.filter((state) => state !== undefined).length
    if (states[0] !== undefined) found.cancelled[number + 1] = states[0]
  }
  return found
}

async function numberOf(runtime: Runtime, name: string): Promise<number> {
  const document = await orUndefined(runtime.doc.get(type, name), 'DOCUMENT_UNKNOWN')
  return document === undefined ? 0 : (document.state as { number: number }).number
}

async function stateOf(runtime: Runtime, id: string): Promise<string | undefined> {
  return (await orUndefined(runtime.job.get(id), 'JOB_UNKNOWN'))?.state
}

function orUndefined<T>(promise: Promise<T>, code: string): Promise<T | undefined> {
  return promise.catch((error) => {
    if (error instanceof RuntimeError && error.code === code) return undefined
    throw error
  })
}

const [, , folder] = process.argv
if (folder !== undefined) await main(folder)
