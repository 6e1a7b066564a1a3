/**
 * Named points of the route of a job at which a process can be made to die, for tests of what a crash there leaves behind.
 *
 * The environment variable `RUNTIME_FAIL_POINT` names one, `NAME` or `NAME@3`: at the third passage the process that passes
 * kills itself with SIGKILL, a host with its group, after one line on standard error. A name says where: `host.…` is
 * passed by hosts, any other by the supervisor. Passages are counted by each process, in a host by each thread, from its start.
 *
 * Without the variable a point costs one comparison. There is no other way to die here: a test that wants a process to end
 * between two lines names the place in this table.
 */
import { writeSync } from 'node:fs'
import { didYouMean } from './did-you-mean.ts'
import { RuntimeError } from './errors.ts'

/** Each point with what has happened by then, and what has not. */
export const failPoints = {
  'create.folder': 'The data directory is there, its marker is not.',
  'create.markerWritten': 'The marker is written beside its place.',
  'create.markerLinked': 'The marker is in its place, and still beside it; the directory is not synced.',
  'create.storeMade': 'LMDB has made its files beside their place; they are not synced.',
  'create.storeSynced': 'They are synced, and not yet in their place.',
  'create.storeRenamed': 'They are in their place; the directory is not synced, and nobody owns it.',
  'create.ready': 'All is synced but the marker, which still says that the directory is new, or of an older format.',
  'start.ownerTaken': 'The record of the owner is committed, owner.json is not written.',
  'start.ownerWritten': 'The data directory is open, the queue has not looked at it.',
  'start.queuesNumbered': 'The queues have their numbers; what was running has not been taken back.',
  'start.recovered': 'What was running, or the first of it, is ready again; the scheduler has not been started.',
  'start.scheduled': 'The events of the configuration are stored; no dispatcher has claimed.',
  'start.listening': 'Jobs run already; the socket does not listen yet.',
  'commit.ran': 'The operations of a commit have run, inside of its transaction.',
  'commit.flushed': 'The commit is on disk, and nobody has been told.',
  'commit.told': 'All have been told; no answer has been sent.',
  'answer.ready': 'Answers are about to be written to a socket.',
  'answer.written': 'They are handed to the system.',
  'claim.committed': 'Jobs are running on disk, and no pool has them.',
  'claim.given': 'The pool has them.',
  'outcome.received': 'A job has ended one way or another, and is running on disk.',
  'settle.committed': 'Its end is on disk, and the dispatcher does not know yet.',
  'promote.before': 'Jobs are due and scheduled.',
  'promote.after': 'They are ready.',
  'upkeep.before': 'A piece of upkeep is due.',
  'upkeep.after': 'It is done.',
  'fire.before': 'Instants of scheduler events are due.',
  'fire.after': 'Their jobs are on disk, and their next instants.',
  'outbox.prepared': 'Operations are prepared, and who asked does not know.',
  'outbox.committed': 'Prepared operations are done, and who asked does not know.',
  'journal.beginStep': 'The beginning of a step is on disk, and the job does not know.',
  'journal.endStep': 'The result of a step is on disk, and the job does not know.',
  'journal.sleep': 'The beginning or the end of a sleep is on disk, and the job does not know.',
  'journal.waitFor': 'That the job waits for a signal, or that it has come, is on disk, and the job does not know.',
  'journal.enqueue': 'What a job enqueues at once is on disk, and the job does not know.',
  'stop.asked': 'A stop has begun; jobs run.',
  'stop.drained': 'Nothing runs any more; the socket is open.',
  'stop.disconnected': 'The connections have ended; the store is open.',
  'stop.ownerFileRemoved': 'owner.json is gone, inside of the last transaction.',
  'stop.ownerGivenUp': 'The record of the owner is gone; the store is open.',
  'stop.closed': 'The store is closed; the process has not ended.',
  'host.starting': 'The threads of a host start; it has not said that it can take jobs.',
  'host.received': 'A host has a job, and no thread has it.',
  'host.calling': 'A thread is about to call the method.',
  'host.returned': 'The method has ended; the outcome is in its thread.',
  'host.outcome': 'The host knows the outcome, and has not sent it.',
  'host.sent': 'The host has sent something, such as an outcome.'
} as const satisfies Record<string, string>

export type FailPoint = keyof typeof failPoints

const variable = 'RUNTIME_FAIL_POINT'
const wanted = process.env[variable]
const [armed, passageText = '1'] = wanted?.split('@') ?? []
const passage = Number(passageText)
let passages = 0

/** The process dies here where `RUNTIME_FAIL_POINT` says so. */
export function failPoint(name: FailPoint): void {
  if (name !== armed) return
  passages++
  if (passages === passage) die(name)
}

/** @throws RuntimeError `CONFIG_INVALID`: `RUNTIME_FAIL_POINT` names no point, and nothing would ever happen */
export function checkFailPoint(): void {
  if (wanted === undefined) return
  const isKnown = Object.hasOwn(failPoints, armed!)
  if (isKnown && /^[1-9]\d*$/.test(passageText) && wanted.split('@').length <= 2) return
  const expected = isKnown ? 'the number of the passage, from 1, after "@"' : 'the name of a fail point'
  throw new RuntimeError(
    'CONFIG_INVALID',
    `Cannot start with ${variable}="${wanted}": expected ${expected}, such as "commit.flushed@3".` +
      `${isKnown ? '' : didYouMean(armed!, Object.keys(failPoints))} Unset it where no test of crashes runs.`,
    { problems: [] }
  )
}

function die(name: FailPoint): void {
  writeSync(2, `${variable}: ${name} was passed, process ${process.pid} kills itself\n`)
  if (name.startsWith('host.')) {
    try {
      process.kill(-process.pid, 'SIGKILL')
    } catch {
      // It leads no group, as where threads of jobs run in the supervisor's own process.
    }
  }
  process.kill(process.pid, 'SIGKILL')
}
