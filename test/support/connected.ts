import type { TestContext } from 'node:test'
import { connect } from '../../runtime/client/connect.ts'
import type { Runtime } from '../../runtime/core/api.ts'
import type { JobEvent, JobEventType } from '../../runtime/core/events.ts'
import type { JobFilter, JobView } from '../../runtime/core/job.ts'
import type { JobState } from '../../runtime/core/lifecycle.ts'

/** A connection that is closed when the test ends. */
export async function connected(test: TestContext, socketPath: string): Promise<Runtime> {
  const runtime = await connect(socketPath)
  test.after(() => runtime.stop())
  return runtime
}

/** Every job that the filter names, newest first. */
export async function allJobs(runtime: Runtime, filter: JobFilter = {}): Promise<JobView[]> {
  const jobs: JobView[] = []
  let cursor: string | null = null
  do {
    const page = await runtime.job.list({ ...filter, limit: 1_000, ...(cursor === null ? {} : { cursor }) })
    jobs.push(...page.jobs)
    cursor = page.cursor
  } while (cursor !== null)
  return jobs
}

/** Resolves once no job is scheduled, ready or running: looks again after each event that ends a job. */
export async function untilIdle(runtime: Runtime): Promise<void> {
  let wake = () => {}
  let ended = new Promise<void>((resolve) => {
    wake = resolve
  })
  const subscription = await runtime.subscribe({ types: ['completed', 'failed', 'cancelled'] }, () => wake())
  for (;;) {
    const queues = await runtime.queue.list()
    if (queues.every(({ counts }) => counts.scheduled + counts.ready + counts.running === 0)) break
    await ended
    ended = new Promise<void>((resolve) => {
      wake = resolve
    })
  }
  await subscription.unsubscribe()
}

/** Resolves at the `count`th event of the type from now on. The outer promise resolves once it listens. */
export async function nextEvents(
  runtime: Runtime,
  type: JobEventType,
  count = 1
): Promise<{ seen: Promise<JobEvent[]> }> {
  const events: JobEvent[] = []
  let resolve: (events: JobEvent[]) => void
  const seen = new Promise<JobEvent[]>((settle) => {
    resolve = settle
  })
  await runtime.subscribe({ types: [type] }, (event) => {
    if (events.push(event) === count) resolve(events)
  })
  return { seen }
}

/** Resolves once the job is in the state, and shows it. */
export async function untilState(runtime: Runtime, id: string, state: JobState): Promise<JobView> {
  let wake = () => {}
  let changed = new Promise<void>((resolve) => {
    wake = resolve
  })
  const subscription = await runtime.subscribe({ job: id }, () => wake())
  for (;;) {
    const job = await runtime.job.get(id)
    if (job.state === state) {
      await subscription.unsubscribe()
      return job
    }
    await changed
    changed = new Promise<void>((resolve) => {
      wake = resolve
    })
  }
}

/** The job once it has finished, with its steps, which `job.wait` does not show. */
export async function finishedJob(runtime: Runtime, id: string): Promise<JobView> {
  await runtime.job.wait(id)
  return runtime.job.get(id)
}
