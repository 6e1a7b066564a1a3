import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { describe, it } from 'node:test'
import { CronError } from '../../runtime/scheduler/cron/cron-error.ts'
import { parseSchedule, type Schedule } from '../../runtime/scheduler/cron/schedule.ts'

interface Case {
  expression: string
  /** null: refused. */
  next: string[] | null
}

interface ZonedCase extends Case {
  timezone: string
  afterLocal: string
}

const cases: { after: string; cases: Case[]; zoned: ZonedCase[] } = JSON.parse(
  readFileSync('test/scheduler/cron-cases.json', 'utf8')
)

function schedule(expression: string, timezone: string = 'UTC', seed = 'event'): Schedule {
  return parseSchedule(expression, { timezone, seed, tickIntervalS: 60 })
}

/** ISO instants without milliseconds. */
function times(read: Schedule, afterMs: number, count: number): string[] {
  const found: string[] = []
  for (let atMs = read.nextAfter(afterMs); atMs !== null && found.length < count; atMs = read.nextAfter(atMs)) {
    found.push(new Date(atMs).toISOString().replace('.000Z', 'Z'))
  }
  return found
}

function timesOf(expression: string, after: string, count: number, timezone = 'UTC'): string[] {
  return times(schedule(expression, timezone), Date.parse(after), count)
}

function refused(expression: unknown, timezone = 'UTC'): CronError {
  try {
    schedule(expression as string, timezone)
  } catch (error) {
    assert.ok(error instanceof CronError, String(error))
    assert.equal(error.code, 'PARAMS_INVALID')
    return error
  }
  throw new assert.AssertionError({ message: `${JSON.stringify(expression)} was not refused` })
}

/** The local clock of `timezone` shows `reading` then. */
function instantOf(reading: string, timezone: string): number {
  const atMs = Date.parse(`${reading}Z`)
  for (let minutes = -15 * 60; minutes <= 15 * 60; minutes += 15) {
    const candidateMs = atMs + minutes * 60_000
    const shown = new Date(candidateMs).toLocaleString('sv', { timeZone: timezone }).replace(' ', 'T')
    if (shown === reading) return candidateMs
  }
  throw new Error(`${timezone} never shows ${reading}`)
}

describe('cron: croniter’s times', () => {
  for (const { expression, next } of cases.cases) {
    // croniter has no bare labels; the configuration has (S6).
    if (expression === 'daily') continue
    it(`${JSON.stringify(expression)} ${next === null ? 'is refused' : 'fires as in croniter'}`, () => {
      if (next === null) assert.equal(refused(expression).data.expression, expression)
      else assert.deepEqual(timesOf(expression, cases.after, next.length), next)
    })
  }

  for (const { expression, timezone, afterLocal, next } of cases.zoned) {
    it(`${expression} in ${timezone} after ${afterLocal}`, () => {
      const read = schedule(expression, timezone)
      const startMs = instantOf(afterLocal, timezone)
      assert.deepEqual(times(read, startMs, next!.length), next)
    })
  }
})

describe('cron: labels', () => {
  const labels: [label: string, expression: string][] = [
    ['hourly', '0 * * * *'],
    ['hourly_long', '0 * * * *'],
    ['daily', '0 0 * * *'],
    ['daily_long', '0 0 * * *'],
    ['midnight', '0 0 * * *'],
    ['weekly', '0 0 * * 0'],
    ['weekly_long', '0 0 * * 0'],
    ['monthly', '0 0 1 * *'],
    ['monthly_long', '0 0 1 * *'],
    ['yearly', '0 0 1 1 *'],
    ['annual', '0 0 1 1 *'],
    ['annually', '0 0 1 1 *']
  ]
  for (const [label, expression] of labels) {
    it(`${label} is ${expression}, with @ and in any letter case`, () => {
      for (const written of [label, `@${label}`, label.toUpperCase(), ` @${label} `]) {
        const read = schedule(written)
        assert.equal(read.fields, expression)
        assert.equal(read.source, written)
      }
    })
  }

  it('all fires at every multiple of the tick interval, whatever the zone', () => {
    const read = parseSchedule('@All', { timezone: 'Asia/Kolkata', seed: '', tickIntervalS: 7 })
    assert.equal(read.nextAfter(0), 7_000)
    assert.equal(read.nextAfter(6_999), 7_000)
    assert.equal(read.nextAfter(7_000), 14_000)
    assert.equal(read.fields, 'every 7 s')
  })
})

describe('cron: dialect', () => {
  const same: [written: string, meant: string][] = [
    ['0 0 * * 5L', '0 0 * * L5'],
    ['0 0 * * 7', '0 0 * * sun'],
    ['0 0 * * fri-mon', '0 0 * * 5,6,0,1'],
    ['0 0 * * 1-7/2', '0 0 * * 1,3,5,0'],
    ['0 0 * * sat-tue/2', '0 0 * * 6,1'],
    ['0 22-2 * * *', '0 22,23,0,1,2 * * *'],
    ['0 22-2/3 * * *', '0 22,1 * * *'],
    ['0 20-2/3 * * *', '0 20,23,2 * * *'],
    ['0 0 1 nov-feb *', '0 0 1 11,12,1,2 *'],
    ['0 0 1 Apr-Jan/3 *', '0 0 1 4,7,10,1 *'],
    ['*/20,*/30 * * * *', '0,20,30,40 * * * *'],
    ['1,1,01 * * * *', '1 * * * *'],
    ['5-5 * * * *', '* * * * *'],
    ['0 0 10-L * *', '0 0 10-31 * *'],
    ['0 0 15,L * *', '0 0 15,l * *'],
    ['0 0 * * sat#1,sun#2', '0 0 * * 6#1,0#2'],
    ['0 0 * * mon-wed#2', '0 0 * * 1#2,2#2,3#2'],
    ['0 0 *,5 * 1', '0 0 * * 1'],
    ['0 0 */1 * */2', '0 0 * * */2']
  ]
  for (const [written, meant] of same) {
    it(`${written} is ${meant}`, () => {
      assert.deepEqual(timesOf(written, cases.after, 40), timesOf(meant, cases.after, 40))
    })
  }

  it('sat#1,sun#2 are the first Saturday and the second Sunday', () => {
    assert.deepEqual(timesOf('0 0 * * sat#1,sun#2', '2026-08-01T00:00:00Z', 3), [
      '2026-08-09T00:00:00Z',
      '2026-09-05T00:00:00Z',
      '2026-09-13T00:00:00Z'
    ])
  })

  it('22-2 fires in the hours over midnight', () => {
    const hours = timesOf('0 22-2 * * *', '2026-01-07T21:00:00Z', 6).map((time) => time.slice(11, 13))
    assert.deepEqual(hours, ['22', '23', '00', '01', '02', '22'])
  })

  it('a day of the month or an nth weekday is enough', () => {
    assert.deepEqual(timesOf('0 0 15 * mon#1', cases.after, 3), [
      '2026-01-15T00:00:00Z',
      '2026-02-02T00:00:00Z',
      '2026-02-15T00:00:00Z'
    ])
  })

  it('finds rare days', () => {
    assert.deepEqual(timesOf('0 0 29 2 *', '2096-03-01T00:00:00Z', 1), ['2104-02-29T00:00:00Z'])
    assert.deepEqual(timesOf('0 0 * 2 mon#5', cases.after, 2), ['2044-02-29T00:00:00Z', '2072-02-29T00:00:00Z'])
  })

  it('ends with its last year', () => {
    assert.deepEqual(timesOf('0 0 1 6 * 0 2026-2027', cases.after, 5), ['2026-06-01T00:00:00Z', '2027-06-01T00:00:00Z'])
    assert.equal(schedule('0 0 1 1 * 0 2020').nextAfter(Date.parse(cases.after)), null)
  })

  it('ends with the last instant that can be stored', () => {
    assert.equal(schedule('0 0 1 1 *').nextAfter(Date.UTC(9999, 5, 1)), null)
    assert.equal(schedule('0 23 31 12 *', 'America/New_York').nextAfter(Date.UTC(9999, 5, 1)), null)
  })

  it('fires strictly after the instant, to the second', () => {
    const read = schedule('* * * * * */15')
    assert.equal(read.nextAfter(14_999), 15_000)
    assert.equal(read.nextAfter(15_000), 30_000)
    assert.equal(read.nextAfter(15_001), 30_000)
  })
})

describe('cron: refusals', () => {
  const wrong: [expression: unknown, field: string, problem: RegExp][] = [
    ['', 'expression', /0 fields, not 5 to 7/],
    [undefined, 'expression', /1 field, not 5 to 7/],
    ['undefined', 'expression', /1 field, not 5 to 7/],
    [null, 'expression', /1 field/],
    [5, 'expression', /1 field/],
    ['* * * *', 'expression', /4 fields/],
    ['* * * * * * * *', 'expression', /8 fields/],
    [`${'0,'.repeat(600)}0 * * * *`, 'expression', /characters/],
    ['0 0 30 2 *', 'day of month', /never fires/],
    ['0 0 29 2 * 0 2027', 'day of month', /never fires/],
    ['0 0 * 2 mon#5 0 2027', 'day of month', /never fires/],
    ['60 * * * *', 'minute', /"60"/],
    ['* * 0 * *', 'day of month', /"0"/],
    ['* * * 0 *', 'month', /"0"/],
    ['* * * * 8', 'day of week', /"8"/],
    ['* * * * * 60', 'second', /"60"/],
    ['* * * * * 0 1969', 'year', /"1969"/],
    ['* * * * * 0 2100', 'year', /"2100"/],
    ['? * * * *', 'minute', /"\?"/],
    ['* * ?,1 * *', 'day of month', /"\?"/],
    ['* * * 1jan *', 'month', /"1jan"/],
    ['* * * january *', 'month', /"january"/],
    ['* * * mon *', 'month', /"mon"/],
    ['*/0 * * * *', 'minute', /step .* is 0/],
    ['* * * * L', 'day of week', /"l"/],
    ['* * * * fri#0', 'day of week', /"fri#0"/],
    ['* * * * *,fri#1', 'day of week', /mixed/],
    ['H(30-10) * * * *', 'minute', /range of/],
    ['H(0-60) * * * *', 'minute', /range of/],
    ['H/0 * * * *', 'minute', /step of/],
    ['H/61 * * * *', 'minute', /step of/],
    ['H- * * * *', 'minute', /"h-"/]
  ]
  for (const [expression, field, problem] of wrong) {
    it(`${String(expression).slice(0, 40)}: ${field}`, () => {
      const error = refused(expression)
      assert.equal(error.data.field, field)
      assert.match(String(error.data.problem), problem)
      assert.ok(error.message.includes(String(error.data.advice)))
    })
  }

  it('suggests the label that was meant', () => {
    assert.match(refused('@dayly').message, /Did you mean "daily"\?/)
  })

  it('refuses zones that do not exist, and suggests one that does', () => {
    assert.match(refused('* * * * *', 'Europe/Berlni').message, /no zone "Europe\/Berlni".*Europe\/Berlin/)
    assert.equal(refused('* * * * *', '').data.field, 'timezone')
    assert.equal(refused('all', 'Mars/Olympus').data.field, 'timezone')
    // Intl takes the zone of the process for undefined.
    assert.equal(refused('* * * * *', null as unknown as string).data.field, 'timezone')
  })
})

describe('cron: H and R', () => {
  const seeds = Array.from({ length: 600 }, (_, index) => `cron:${index}:reports.daily.run`)
  const written = ['H * * * *', 'R * * * *', 'H(10-19) H * * *', 'H/15 H/6 * * *', 'R(30-59)/10 R H H H R']

  it('are the same for one event, each time', () => {
    for (const expression of written) {
      for (const seed of seeds.slice(0, 20)) {
        assert.equal(schedule(expression, 'UTC', seed).fields, schedule(expression, 'UTC', seed).fields)
      }
    }
  })

  it('are what croniter gives for H with the seed as its hash_id', () => {
    assert.equal(schedule('H H * * *', 'UTC', 'hello').fields, '10 11 * * *')
    assert.equal(schedule('H(0-29)/10 H H H H H', 'UTC', 'hello').fields, '0-29/10 11 1 9 5 32')
  })

  it('spread over their range and never leave it', () => {
    for (const kind of ['H', 'R']) {
      const counts = new Map<number, number>()
      for (const seed of seeds) {
        const minute = Number(schedule(`${kind}(10-29) * * * *`, 'UTC', seed).fields.split(' ')[0])
        assert.ok(minute >= 10 && minute <= 29, `${minute}`)
        counts.set(minute, (counts.get(minute) ?? 0) + 1)
      }
      // 30 each on average.
      assert.equal(counts.size, 20)
      assert.ok(Math.max(...counts.values()) < 60, `${kind}: ${[...counts.values()]}`)
    }
  })

  it('are chosen apart: H and R of an event differ for most events', () => {
    const equal = seeds.filter(
      (seed) => schedule('H * * * *', 'UTC', seed).fields === schedule('R * * * *', 'UTC', seed).fields
    )
    assert.ok(equal.length < seeds.length / 10, `${equal.length}`)
  })
})

describe('cron: changes of the clock', () => {
  it('fires in the gap of 30 minutes at Lord Howe, moved on by it', () => {
    assert.deepEqual(timesOf('15 2 * * *', '2026-10-02T20:00:00Z', 3, 'Australia/Lord_Howe'), [
      '2026-10-03T15:45:00Z',
      '2026-10-04T15:15:00Z',
      '2026-10-05T15:15:00Z'
    ])
  })

  it('fires once in the overlap of 30 minutes at Lord Howe, the first time', () => {
    assert.deepEqual(timesOf('45 1 * * *', '2026-04-03T20:00:00Z', 2, 'Australia/Lord_Howe'), [
      '2026-04-04T14:45:00Z',
      '2026-04-05T15:15:00Z'
    ])
  })

  it('fires once where a moved reading falls on another one', () => {
    assert.deepEqual(timesOf('0,30 2,3 * * *', '2026-03-28T23:00:00Z', 3, 'Europe/Berlin'), [
      '2026-03-29T01:00:00Z',
      '2026-03-29T01:30:00Z',
      '2026-03-30T00:00:00Z'
    ])
  })

  it('repeats the last reading of all for an interval event', () => {
    // Cairo sets its clock from 24:00 back to 23:00.
    assert.deepEqual(timesOf('0 * 29 10 * 0 2026', '2026-10-29T19:30:00Z', 5, 'Africa/Cairo'), [
      '2026-10-29T20:00:00Z',
      '2026-10-29T21:00:00Z'
    ])
  })

  it('gives the same times whatever was asked before', () => {
    const read = schedule('0 12 * * *', 'Europe/Berlin')
    const summerMs = Date.parse('2026-07-01T00:00:00Z')
    const before = read.nextAfter(summerMs)
    read.nextAfter(Date.parse('2027-01-15T00:00:00Z'))
    assert.equal(read.nextAfter(summerMs), before)
    assert.equal(before, Date.parse('2026-07-01T10:00:00Z'))
  })

  it('moves a reading over a day that a zone left out', () => {
    assert.deepEqual(timesOf('0 12 30 12 * 0 2011', '2011-12-01T00:00:00Z', 5, 'Pacific/Apia'), [
      '2011-12-30T22:00:00Z'
    ])
  })

  const paces: [hours: string, pace: Schedule['pace']][] = [
    ['*', 'interval'],
    ['0-23', 'interval'],
    ['*/2', 'interval'],
    ['0-23/2', 'interval'],
    ['1/6', 'interval'],
    ['H/6', 'interval'],
    ['*/24', 'fixed'],
    ['9/4', 'fixed'],
    ['9-17', 'fixed'],
    ['2,14', 'fixed'],
    ['H', 'fixed'],
    ['2', 'fixed']
  ]
  for (const [hours, pace] of paces) {
    it(`takes hours ${hours} as ${pace}`, () => assert.equal(schedule(`30 ${hours} * * *`).pace, pace))
  }
})

describe('cron: speed', () => {
  it('reads an expression in less than 1 ms and steps in less than 50 µs', () => {
    const parsedFromMs = performance.now()
    for (let index = 0; index < 20_000; index++) {
      parseSchedule(`${index % 60} ${index % 24} * * ${index % 7}`, {
        timezone: 'Europe/Berlin',
        seed: `${index}`,
        tickIntervalS: 60
      })
    }
    const parseMs = performance.now() - parsedFromMs
    const read = schedule('15 18 * * *', 'Europe/Berlin')
    const steppedFromMs = performance.now()
    for (let step = 0, atMs = Date.parse(cases.after); step < 20_000; step++) atMs = read.nextAfter(atMs)!
    const stepMs = performance.now() - steppedFromMs
    // The bounds of one: 1 ms and 50 µs. Usual are a hundredth and a tenth of that.
    assert.ok(parseMs < 20_000 && stepMs < 1_000, `parse ${parseMs} ms, step ${stepMs} ms`)
  })
})
