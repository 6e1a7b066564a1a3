import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { formatEvent, formatGap } from '../../runtime/cli/text/event-text.ts'
import { formatError, formatJob, formatJobs } from '../../runtime/cli/text/job-text.ts'
import { type Look, plainLook } from '../../runtime/cli/text/look.ts'
import { oneLine, prettyJson } from '../../runtime/cli/text/printable.ts'
import { formatQueues } from '../../runtime/cli/text/queue-text.ts'
import { formatSchedule } from '../../runtime/cli/text/schedule-text.ts'
import { formatBytes, formatStatus } from '../../runtime/cli/text/status-text.ts'
import { formatTable } from '../../runtime/cli/text/table.ts'
import { formatRelative, formatSpan } from '../../runtime/cli/text/time.ts'
import { eventView, jobView, queueView, statusView } from './fake-service.ts'

const nowMs = Date.parse('2026-01-31T12:00:00.000Z')
const plain = plainLook(nowMs)
const terminal: Look = { colours: true, columns: 40, nowMs }

describe('times', () => {
  const spans: [number, string][] = [
    [0, '0 ms'],
    [999, '999 ms'],
    [3_400, '3 s'],
    [119_999, '119 s'],
    [120_000, '2 min'],
    [7_200_000, '2 h'],
    [172_800_000, '2 d']
  ]
  for (const [spanMs, text] of spans) it(`shows ${spanMs} ms as ${text}`, () => assert.equal(formatSpan(spanMs), text))

  it('says how far away an instant is', () => {
    assert.equal(formatRelative('2026-01-31T11:59:57.000Z', nowMs), '3 s ago')
    assert.equal(formatRelative('2026-01-31T12:05:00.000Z', nowMs), 'in 5 min')
    assert.equal(formatRelative('2026-01-31T12:00:00.000Z', nowMs), 'just now')
  })
})

describe('tables', () => {
  const rows = [
    ['1', 'a long cell that needs more room than the window of the terminal has'],
    ['22', 'b']
  ]

  it('aligns columns without borders and without blanks at the end', () => {
    assert.equal(
      formatTable(
        plain,
        ['ID', 'NAME'],
        [
          ['1', 'a'],
          ['333', 'bb']
        ]
      ),
      'ID   NAME\n1    a\n333  bb'
    )
  })

  it('cuts nothing where there is no terminal', () => {
    assert.match(formatTable(plain, ['ID', 'TEXT'], rows), /terminal has$/m)
  })

  it('cuts the last column to the width of a terminal', () => {
    const lines = stripVTControlCharacters(formatTable(terminal, ['ID', 'TEXT'], rows)).split('\n')
    assert.equal(lines.length, 3)
    assert.ok(lines.every((line) => line.length <= 40))
    assert.match(lines[1]!, /…$/)
  })
})

describe('text of others', () => {
  it('cannot steer the terminal', () => {
    assert.equal(oneLine('a\u001b[2Jb\nc\u009bd'), 'a [2Jb c d')
    assert.doesNotMatch(prettyJson({ text: '\u009b2J' }), /\u009b/)
    const hostile = jobView({ id: '1', jobName: '\u001b]0;title\u0007', state: 'failed' })
    hostile.error = { code: 'THROWN', name: 'Error', message: '\u001b[31mred', stack: 'Error: \u001b[31mred\n    at x' }
    for (const text of [formatJobs(plain, [hostile]), formatJob(plain, hostile), formatError(hostile.error)]) {
      // biome-ignore lint/suspicious/noControlCharactersInRegex: what must not be there
      assert.doesNotMatch(text, /[\u0000-\u0009\u000b-\u001f\u007f-\u009f]/)
    }
  })
})

describe('jobs', () => {
  it('shows each job on a line with what matters in its state', () => {
    const text = formatJobs(plain, [
      jobView({ id: 'a', state: 'running', progress: { percent: 50, stage: 'mail' }, enqueuedAt: iso(-3) }),
      jobView({ id: 'b', state: 'scheduled', runAt: iso(300), enqueuedAt: iso(-3) }),
      jobView({ id: 'c', state: 'completed', startedAt: iso(-2), finishedAt: iso(-1), enqueuedAt: iso(-3) })
    ])
    const lines = text.split('\n')
    assert.match(lines[0]!, /^ID +STATE +QUEUE +METHOD +NAME +ATTEMPTS +ENQUEUED +DETAIL$/)
    assert.match(lines[1]!, /^a +running +default +a\.run +- +1\/3 +3 s ago +50% mail$/)
    assert.match(lines[2]!, /due in 5 min$/)
    assert.match(lines[3]!, /took 1 s$/)
  })

  it('shows key, dependencies and expiry (issue 5.3 to 5.5)', () => {
    const job = jobView({
      ...{ state: 'scheduled', key: 'tenant\n1', keyConcurrency: 1, expiresAt: iso(300) },
      ...{ dependencies: { total: 3, completed: 1, failed: 1, cancelled: 0 }, dependsOn: ['p1', 'p2'] }
    })
    const text = formatJob(plain, job)
    assert.match(text, /^key +tenant 1, at most 1 running$/m)
    assert.match(text, /^depends on +2 of 3 jobs finished: 1 completed, 1 failed$/m)
    assert.match(text, /^parents +p1, p2, …$/m)
    assert.match(text, /^expires +2026-01-31T12:05:00\.000Z \(in 5 min\)$/m)
    assert.match(formatJobs(plain, [job]), /depends on 2 of 3 jobs finished: 1 completed, 1 failed$/)
    const released = { ...job, dependencies: { total: 1, completed: 1, failed: 0, cancelled: 0 }, runAt: iso(60) }
    assert.match(formatJobs(plain, [released]), /due in 60 s$/)
    assert.doesNotMatch(formatJob(plain, jobView()), /key|depends|parents|expires/)
  })

  it('says so when there is none', () => assert.equal(formatJobs(plain, []), 'No jobs.'))

  it('colours states only where colours are wanted', () => {
    const jobs = [jobView({ state: 'failed' })]
    assert.ok(formatJobs({ ...terminal, columns: 200 }, jobs).includes('\u001b[31mfailed'))
    assert.ok(!formatJobs(plain, jobs).includes('\u001b'))
  })

  it('indents the stack below the error and does not repeat the message', () => {
    const stack = 'TypeError: no\n    at run (a.js:1:1)\n    at next (b.js:2:2)'
    assert.equal(
      formatError({ code: 'THROWN', name: 'TypeError', message: 'no', stack, thrownCode: 'E1' }),
      'TypeError: no (E1)\n  at run (a.js:1:1)\n  at next (b.js:2:2)'
    )
  })

  it('names the code where it was not the method that threw', () => {
    assert.equal(formatError({ code: 'TIMEOUT', name: 'Error', message: 'too long' }), 'TIMEOUT: too long')
  })
})

it('shows an event on one line', () => {
  const text = formatEvent(plain, {
    type: 'retrying',
    job: '7',
    queue: 'long',
    method: 'a.run',
    at: iso(0),
    runAt: iso(5),
    error: { code: 'THROWN', name: 'Error', message: 'two\nlines' }
  })
  assert.equal(text, '2026-01-31T12:00:00.000Z  retrying     7  long  a.run  Error: two lines  again in 5 s')
})

it('shows when a pause ends, and how full the store is', () => {
  const paused = queueView({ paused: true, pausedUntil: iso(300) })
  assert.match(formatQueues(plain, [paused]), /paused, ends in 5 min/)
  const store = { format: 4, bytes: 4096, usedBytes: 2048, bytesMax: 1024 ** 2 }
  assert.match(formatStatus(plain, statusView({ store })), /4\.0 KiB, 2\.0 KiB of it used, 1\.0 MiB at most, format 4/)
})

it('shows a gap in the events in words', () => {
  const slow = (missed: number) => formatGap(plain, { missed, reason: 'slow' })
  assert.equal(slow(1), '1 event is missing here: they came faster than they were read.')
  assert.equal(slow(214), '214 events are missing here: they came faster than they were read.')
  const expired = formatGap(plain, { missed: null, reason: 'expired' })
  assert.equal(expired, 'Events may be missing here: the cursor is from too long ago.')
})

it('shows sizes in the unit that fits', () => {
  assert.deepEqual([0, 1023, 1536, 5 * 1024 ** 3].map(formatBytes), ['0 B', '1023 B', '1.5 KiB', '5.0 GiB'])
})

function iso(seconds: number): string {
  return new Date(nowMs + seconds * 1000).toISOString()
}

describe('schedule', () => {
  it('shows next and last run, outcome, duration, counts and what is wrong', () => {
    const ran = eventView({
      ...{ lastInstant: '2026-01-31T11:00:00.000Z', lastJob: '42', lastOutcome: 'failed', lastDurationMs: 7_000 },
      ...{ runs: 4, failures: 1, skips: 2, misses: 3, skipsNext: true, state: 'paused' }
    })
    const invalid = eventView({ event: 'cron x:a.b', state: 'invalid', problem: 'no\nsuch thing', next: null })
    const running = eventView({ lastJob: '43' })
    const [, first, second, third, ...more] = formatSchedule(plain, {
      state: 'maintenance',
      events: [ran, invalid, running]
    }).split('\n')
    assert.match(first!, /\(in 60 min\) +60 min ago +failed +7 s +4 +1 +2 +3 +paused; skips the next$/)
    assert.match(second!, /^cron x:a\.b .* - +- +- +- +0 +0 +0 +0 +no.such thing$/)
    assert.match(third!, / running /)
    assert.deepEqual(more, ['Maintenance mode is on.'])
  })
})
