/**
 * Child process: is sent a folder again and again and opens it as a start does. First it looks through it as the verifier would, in this
 * process: if that kills it, a supervisor would have refused the start. What is found sound it opens and uses; if that kills
 * it, a supervisor would have died.
 */
import { join } from 'node:path'
import { RuntimeError } from '../../runtime/core/errors.ts'
import { checkAgreement } from '../../runtime/queue/agreement.ts'
import { noteClosed } from '../../runtime/store/closed-file.ts'
import { LmdbEngine } from '../../runtime/store/lmdb-engine.ts'
import { verifyFile } from '../../runtime/store/verification.ts'
import { openQueueIn } from '../queue/open-queue.ts'
import { everyKindConfigs } from './every-kind.ts'

export type Verdict = { refused: string } | { using: true } | { used: JobsSeen } | { failed: string }
/** Each job as `job.get` shows it, by id. */
export type JobsSeen = Record<string, string>

interface Question {
  directory: string
  tag: string
  nowMs: number
}

async function judge({ directory, tag, nowMs }: Question): Promise<Verdict> {
  const folder = join(directory, 'store')
  const found = verifyFile(join(folder, 'data.mdb'))
  if (found.structure !== null) return { refused: `structure: ${found.structure}` }
  if (found.damaged > 0) return { refused: 'checksum' }
  const engine = new LmdbEngine(folder, { readOnly: true })
  const { problems } = checkAgreement(engine, tag)
  await engine.close()
  if (problems.length > 0) return { refused: `agreement: ${problems[0]}` }
  process.send?.({ using: true } satisfies Verdict)
  // It has been looked through: the start need not do the same, in a process of its own.
  noteClosed(join(folder, 'closed.json'), join(folder, 'data.mdb'), tag)
  return { used: await use(directory, nowMs) }
}

/** Everything is read, and many pages are written anew. */
async function use(directory: string, nowMs: number): Promise<JobsSeen> {
  const { queue, close } = await openQueueIn(directory, nowMs, ...everyKindConfigs)
  try {
    const seen: JobsSeen = {}
    for (const { id } of queue.list({ limit: 1000 }).jobs) seen[id] = JSON.stringify(queue.get(id))
    await queue.enqueue(Array.from({ length: 50 }, (_, n) => ({ method: 'a.b', params: { n, more: 'x'.repeat(200) } })))
    for (const { name } of everyKindConfigs) {
      const jobs = await queue.claim(name, 20)
      await Promise.all(
        jobs.map((job) => queue.settle(job, { type: 'completed', result: 'null' }, { progress: null, logs: [] }))
      )
    }
    await queue.purge('default', ['completed', 'ready'])
    return seen
  } finally {
    await close()
  }
}

process.on('message', (question: Question) => {
  judge(question)
    .catch((error: unknown): Verdict => {
      if (error instanceof RuntimeError && error.code === 'DATA_DIR_INVALID') return { refused: error.message }
      return { failed: (error as Error).stack ?? String(error) }
    })
    .then((verdict) => process.send?.(verdict))
})
process.on('disconnect', () => process.exit())
