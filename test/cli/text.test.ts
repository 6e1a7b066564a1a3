import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { stripVTControlCharacters } from 'node:util'
import { formatDocument, formatDocuments } from '../../runtime/cli/text/document-text.ts'
import { formatEvent, formatGap } from '../../runtime/cli/text/event-text.ts'
import { formatError, formatJob, formatJobs } from '../../runtime/cli/text/job-text.ts'
import { type Look, plainLook } from '../../runtime/cli/text/look.ts'
import { formatPrepared } from '../../runtime/cli/text/outbox-text.ts'
import { oneLine, prettyJson } from '../../runtime/cli/text/printable.ts'
import { formatQueues } from '../../runtime/cli/text/queue-text.ts'
import { formatSchedule } from '../../runtime/cli/text/schedule-text.ts'
import { formatBytes, formatStatus } from '../../runtime/cli/text/status-text.ts'
import { formatTable } from '../../runtime/cli/text/table.ts'
import { formatRelative, formatSpan } from '../../runtime/cli/text/time.ts'
import type { StepView } from '../../runtime/core/journal.ts'
import { documentView, eventView, jobView, preparedView, queueView, statusView } from './fake-service.ts'

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
  const store = { format: 5, bytes: 4096, usedBytes: 2048, bytesMax: 1024 ** 2, setAside: 0 }
  assert.match(formatStatus(plain, statusView({ store })), /4\.0 KiB, 2\.0 KiB of it used, 1\.0 MiB at most, format 5/)
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

describe('jobs of documents, and steps', () => {
  const step: StepView = {
    name: 'charge',
    kind: 'step',
    state: 'done',
    runs: 1,
    cuts: 0,
    startedAt: '2026-01-31T11:00:00.000Z',
    finishedAt: '2026-01-31T11:59:00.000Z',
    until: null,
    result: { paid: true }
  }

  it('shows the document, its steps and the unread signals of a job (issue 6.5)', () => {
    const text = formatJob(
      plain,
      jobView({
        document: { type: 'billing.Invoice', name: 'INV-1' },
        steps: [
          { ...step, runs: 2, cuts: 1 },
          {
            ...step,
            kind: 'step',
            name: 'mail',
            state: 'failed',
            error: { code: 'THROWN', name: 'Error', message: 'no' }
          },
          { ...step, kind: 'sleep', name: 'wait', state: 'sleeping', until: '2026-02-03T12:00:00.000Z' },
          { ...step, kind: 'signal', name: 'approved', state: 'waiting', finishedAt: null }
        ],
        signals: [{ name: 'paid', payload: { by: 'card' }, at: '2026-01-31T11:59:57.000Z' }]
      })
    )
    assert.match(text, /^document +billing\.Invoice INV-1$/m)
    assert.match(text, /^steps\n {2}STEP +KIND +STATE +RUNS +CUTS +SINCE +DETAIL$/m)
    assert.match(text, /^ {2}charge +step +done +2 +1 +60 s ago +\{"paid":true\}$/m)
    assert.match(text, /^ {2}mail +step +failed +1 +- +60 s ago +Error: no$/m)
    assert.match(text, /^ {2}wait +sleep +sleeping +- +- +60 s ago +until 2026-02-03T12:00:00\.000Z \(in 3 d\)$/m)
    assert.match(text, /^ {2}approved +signal +waiting +- +- +60 min ago +for a signal$/m)
    assert.match(text, /^unread signals\n.*\n {2}paid +3 s ago +\{"by":"card"\}$/m)
  })

  it('shows nothing of them for a job that has none', () => {
    assert.doesNotMatch(formatJob(plain, jobView({ steps: [], signals: [] })), /document|steps|signals/)
  })

  it('shows the reminders of a document, and cuts long states in lists (issue 6.6)', () => {
    const daily = { name: 'daily', method: 'remind', params: {}, nextAt: '2026-02-01T12:00:00.000Z' }
    const document = documentView({
      reminders: [
        { ...daily, cron: '0 12 * * *', timezone: 'Europe/Berlin' },
        { ...daily, name: 'once', params: { by: 1 }, cron: null, timezone: null }
      ]
    })
    const text = formatDocument(plain, document)
    assert.match(
      text,
      /^ {2}daily +remind +2026-02-01T12:00:00\.000Z \(in 24 h\) +0 12 \* \* \* Europe\/Berlin +\{\}$/m
    )
    assert.match(text, /^ {2}once +remind +.* - +\{"by":1\}$/m)
    const list = formatDocuments(plain, [documentView({ state: 'x'.repeat(500) }), document])
    assert.match(list, / "x{78}…\n/)
    assert.match(list, /INV-1 +just now +12 B +2 +2 +\{"lines":\[\]\}$/)
    assert.equal(formatDocuments(plain, []), 'No documents.')
  })

  it('keeps control characters of names and states from the terminal', () => {
    const evil = '\u001b[2Jx'
    const texts = [
      formatDocument(plain, documentView({ name: evil, state: evil })),
      formatDocuments(plain, [documentView({ name: evil, state: evil })]),
      formatJob(plain, jobView({ steps: [{ ...step, name: evil, result: evil }] })),
      formatPrepared(plain, [preparedView({ id: evil, outbox: evil })])
    ]
    for (const text of texts) assert.ok(!text.includes('\u001b'), text)
  })

  it('lists what is prepared, and marks what should have been decided', () => {
    assert.equal(formatPrepared(plain, []), 'Nothing is prepared and undecided.')
    const late = preparedView({ undecidedAt: '2026-01-31T11:00:00.000Z' })
    assert.ok(formatPrepared({ ...terminal, columns: null }, [late]).includes('\u001b[31m60 min ago'))
    assert.match(formatPrepared(plain, [preparedView()]), /p1 +shop +3 +just now +in 60 s$/)
  })
})
