import type { AttemptView, DependencyCounts, JobError, JobLogLine, JobView } from '../../core/job.ts'
import type { StepView } from '../../core/journal.ts'
import { counted } from './counted.ts'
import { type Look, styled, styledState } from './look.ts'
import { block, briefJson, indented, oneLine, prettyJson } from './printable.ts'
import { section } from './section.ts'
import { formatPairs, formatTable } from './table.ts'
import { formatInstant, formatLimit, formatRelative, formatSpan } from './time.ts'

/** `jobs`: one line each. */
export function formatJobs(look: Look, jobs: readonly JobView[]): string {
  if (jobs.length === 0) return 'No jobs.'
  return formatTable(
    look,
    ['ID', 'STATE', 'QUEUE', 'METHOD', 'NAME', 'ATTEMPTS', 'ENQUEUED', 'DETAIL'],
    jobs.map((job) => [
      oneLine(job.id),
      styledState(look, job.state),
      oneLine(job.queue),
      job.method,
      oneLine(job.jobName ?? '-'),
      `${job.attempts.made}/${job.attempts.max}`,
      formatRelative(job.enqueuedAt, look.nowMs),
      detailOf(look, job)
    ])
  )
}

/** What is most worth knowing about a job in its state. */
function detailOf(look: Look, job: JobView): string {
  if (job.state === 'running' && job.progress !== null) return formatProgress(job.progress)
  if (job.state === 'scheduled' && waitsForJobs(job)) return `depends on ${formatDependencies(job.dependencies!)}`
  if (job.state === 'scheduled' && job.runAt !== null) return `due ${formatRelative(job.runAt, look.nowMs)}`
  if (job.error !== undefined) return formatErrorLine(job.error)
  if (job.startedAt !== null && job.finishedAt !== null) return `took ${tookOf(job.startedAt, job.finishedAt)}`
  return '-'
}

function waitsForJobs({ dependencies }: JobView): boolean {
  if (dependencies === null) return false
  return dependencies.completed + dependencies.failed + dependencies.cancelled < dependencies.total
}

/** `job ID`: everything there is to know. */
export function formatJob(look: Look, job: JobView): string {
  const parts = [formatPairs(look, jobPairs(look, job)), section(look, 'params', prettyJson(job.params))]
  if (job.state === 'completed') parts.push(section(look, 'result', prettyJson(job.result)))
  if (job.error !== undefined) parts.push(section(look, 'error', formatError(job.error)))
  if (job.steps !== undefined && job.steps.length > 0) parts.push(section(look, 'steps', formatSteps(look, job.steps)))
  if (job.signals !== undefined && job.signals.length > 0) {
    parts.push(section(look, 'unread signals', formatSignals(look, job.signals)))
  }
  if (job.history.length > 0) parts.push(section(look, 'attempts', formatAttempts(look, job.history)))
  if (job.logs.length > 0) parts.push(section(look, 'log', job.logs.map(formatLogLine).join('\n')))
  return parts.join('\n')
}

function jobPairs(look: Look, job: JobView): [string, string][] {
  const pairs: [string, string][] = [
    ['id', oneLine(job.id)],
    ['state', styledState(look, job.state)],
    ['method', job.method],
    ['queue', oneLine(job.queue)],
    ['attempts', `${job.attempts.made} of ${job.attempts.max}`],
    ['timeout', formatLimit(job.timeoutMs)],
    ['priority', String(job.priority)]
  ]
  if (job.document !== undefined) {
    pairs.push(['document', `${oneLine(job.document.type)} ${oneLine(job.document.name)}`])
  }
  if (job.key !== null) pairs.push(['key', oneLine(job.key) + concurrencyOf(job)])
  if (job.dependencies !== null) pairs.push(['depends on', formatDependencies(job.dependencies)])
  if (job.dependsOn !== undefined && job.dependsOn.length > 0) {
    pairs.push([
      'parents',
      job.dependsOn.map(oneLine).join(', ') + (job.dependsOn.length < (job.dependencies?.total ?? 0) ? ', …' : '')
    ])
  }
  if (job.jobName !== null) pairs.push(['name', oneLine(job.jobName)])
  if (job.crashes > 0) pairs.push(['crashes', String(job.crashes)])
  if (job.progress !== null) pairs.push(['progress', formatProgress(job.progress)])
  for (const [name, instant] of [
    ['enqueued', job.enqueuedAt],
    ['due', job.runAt],
    ['expires', job.expiresAt],
    ['started', job.startedAt],
    ['finished', job.finishedAt]
  ] as const) {
    if (instant !== null) pairs.push([name, formatInstant(instant, look.nowMs)])
  }
  return pairs
}

function concurrencyOf({ keyConcurrency }: JobView): string {
  return keyConcurrency === null ? '' : `, at most ${keyConcurrency} running`
}

/** `2 of 3 jobs finished: 1 completed, 1 failed` */
function formatDependencies({ total, completed, failed, cancelled }: DependencyCounts): string {
  const ways = Object.entries({ completed, failed, cancelled }).filter(([, count]) => count > 0)
  const finished = completed + failed + cancelled
  const how = ways.length === 0 ? '' : `: ${ways.map(([way, count]) => `${count} ${way}`).join(', ')}`
  return `${finished} of ${counted(total, 'job')} finished${how}`
}

function formatAttempts(look: Look, history: readonly AttemptView[]): string {
  return formatTable(
    { ...look, columns: look.columns === null ? null : look.columns - 2 },
    ['#', 'OUTCOME', 'STARTED', 'TOOK', 'ERROR'],
    history.map((attempt) => [
      String(attempt.attempt),
      attempt.outcome,
      formatRelative(attempt.startedAt, look.nowMs),
      tookOf(attempt.startedAt, attempt.finishedAt),
      attempt.error === undefined ? '-' : formatErrorLine(attempt.error)
    ])
  )
}

function formatSteps(look: Look, steps: readonly StepView[]): string {
  return formatTable(
    { ...look, columns: look.columns === null ? null : look.columns - 2 },
    ['STEP', 'KIND', 'STATE', 'RUNS', 'CUTS', 'SINCE', 'DETAIL'],
    steps.map((step) => [
      oneLine(step.name),
      step.kind,
      step.state === 'failed' ? styled(look, 'red', step.state) : step.state,
      step.kind === 'step' ? String(step.runs) : '-',
      step.cuts === 0 ? '-' : styled(look, 'yellow', String(step.cuts)),
      formatRelative(step.finishedAt ?? step.startedAt, look.nowMs),
      stepDetail(look, step)
    ])
  )
}

/** What is most worth knowing about a step in its state. */
function stepDetail(look: Look, { state, until, error, result }: StepView): string {
  if (state === 'sleeping' && until !== null) return `until ${formatInstant(until, look.nowMs)}`
  if (state === 'waiting')
    return until === null ? 'for a signal' : `for a signal, until ${formatInstant(until, look.nowMs)}`
  if (error !== undefined) return formatErrorLine(error)
  return result === undefined || result === null ? '-' : briefJson(result)
}

function formatSignals(look: Look, signals: NonNullable<JobView['signals']>): string {
  return formatTable(
    { ...look, columns: look.columns === null ? null : look.columns - 2 },
    ['SIGNAL', 'SENT', 'PAYLOAD'],
    signals.map(({ name, payload, at }) => [oneLine(name), formatRelative(at, look.nowMs), briefJson(payload)])
  )
}

function tookOf(startedAt: string, finishedAt: string): string {
  return formatSpan(Math.max(0, Date.parse(finishedAt) - Date.parse(startedAt)))
}

export function formatLogLine(line: JobLogLine): string {
  return `${line.at} ${line.level.padEnd(5)} ${oneLine(line.message)}`
}

/** `50% sending mail` */
export function formatProgress(progress: { percent: number; stage: string | null }): string {
  const percent = `${Math.round(progress.percent)}%`
  return progress.stage === null ? percent : `${percent} ${oneLine(progress.stage)}`
}

/** `TIMEOUT: The job ran longer than 2 s` */
export function formatErrorLine(error: JobError): string {
  return oneLine(`${error.code === 'THROWN' ? error.name : error.code}: ${error.message}`)
}

/** The error with its stack, indented, below it. */
export function formatError(error: JobError): string {
  const thrownCode = error.thrownCode === undefined ? '' : ` (${oneLine(String(error.thrownCode))})`
  const line = formatErrorLine(error) + thrownCode
  return error.stack === undefined ? line : `${line}\n${indented(block(framesOf(error)))}`
}

/** The stack without its first lines, where those repeat name and message. */
function framesOf(error: JobError): string {
  const stack = error.stack ?? ''
  const heading = `${error.name}: ${error.message}`
  return (stack.startsWith(heading) ? stack.slice(heading.length) : stack).replace(/^\n/, '').replace(/^ {4}/gm, '')
}
