/** How many jobs are claimed ahead of free threads: a clock of the test's, and jobs that end when it says so. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Ahead, aheadMax } from '../../runtime/dispatcher/ahead.ts'

const givenBack = { type: 'givenBack', hostEnded: false } as const
const hostEnded = { type: 'givenBack', hostEnded: true } as const

function machine(threads: number) {
  const time = { nowMs: 0 }
  const ahead = new Ahead(threads, () => time.nowMs)
  /** All that there is room for is claimed, and has ended `ms` later. @returns how many that were */
  const round = (ms: number) => {
    const room = ahead.roomFor(0)
    ahead.claimed(room.jobs)
    time.nowMs += ms
    for (let job = 0; job < room.jobs; job++) ahead.ended(`${time.nowMs} ${job}`)
    return room.jobs
  }
  return { time, ahead, round }
}

test('issue 8.3: at first, and while jobs are slow, no more are claimed than threads are free', () => {
  const { ahead, round } = machine(2)
  assert.deepEqual(ahead.roomFor(0), { threads: 2, jobs: 2 })
  assert.deepEqual(ahead.roomFor(1), { threads: 1, jobs: 1 })
  assert.deepEqual(ahead.roomFor(2), { threads: 0, jobs: 0 })
  for (let rounds = 0; rounds < 20; rounds++) assert.equal(round(10), 2)
})

test('issue 8.3: while jobs are quick more are claimed from round to round, up to a bound', () => {
  const { round } = machine(2)
  const rounds = Array.from({ length: 12 }, () => round(1.5))
  for (const [index, jobs] of rounds.entries()) if (index > 0) assert(jobs >= rounds[index - 1]!, `${rounds}`)
  assert.equal(rounds.at(-1), aheadMax + 2)
  assert(rounds.findIndex((jobs) => jobs > 200) <= 6, `${rounds}`)
})

test('issue 8.3: commits that ask while none has ended, as the thread that counts was busy, do not make quick jobs slow ones', () => {
  const { time, ahead } = machine(2)
  const round = () => {
    const { jobs } = ahead.roomFor(0)
    ahead.claimed(jobs)
    for (let commits = 0; commits < 2; commits++) {
      time.nowMs += 1.1
      ahead.roomFor(jobs)
    }
    for (let job = 0; job < jobs; job++) ahead.ended(`${time.nowMs} ${job}`)
    time.nowMs += 0.2
    return jobs
  }
  for (let rounds = 0; round() < 100; rounds++) assert(rounds < 10)
  const { jobs } = ahead.roomFor(0)
  ahead.claimed(jobs)
  for (let commits = 0; commits < 5; commits++) {
    time.nowMs += 1.1
    assert(ahead.roomFor(Math.floor(jobs / 4)).jobs > jobs / 2)
  }
})

test('issue 8.3: with jobs on all threads a claim is put off until it is worth it, and takes simple jobs only', () => {
  const { ahead, round } = machine(2)
  while (round(2) < aheadMax) round(2)
  const { jobs } = ahead.roomFor(aheadMax / 2)
  assert(jobs >= aheadMax / 4)
  assert.deepEqual(ahead.roomFor(aheadMax), { threads: 0, jobs: 0 })
})

test('issue 8.3: what was given back ends it at once, slow rounds end it soon', () => {
  const { ahead, round } = machine(2)
  while (round(1.5) < aheadMax);
  ahead.givenBack('slow', givenBack)
  assert.deepEqual(ahead.roomFor(0), { threads: 2, jobs: 2 })
  while (round(1.5) < aheadMax);
  let rounds = 0
  while (round(10_000) > 2) assert(rounds++ < 14)
})

test('issue 8.3: after the end of a host none is claimed ahead until all that may have ended it have run', () => {
  const { ahead, round } = machine(2)
  while (round(1.5) < aheadMax);
  for (const id of ['a', 'b', 'c']) ahead.givenBack(id, hostEnded)
  for (let rounds = 0; rounds < 5; rounds++) assert.equal(round(1.5), 2)
  for (const id of ['a', 'b']) ahead.ended(id)
  for (let rounds = 0; rounds < 5; rounds++) assert.equal(round(1.5), 2)
  ahead.ended('c')
  for (let rounds = 0; rounds < 5; rounds++) round(1.5)
  assert(round(1.5) > 2)
})

test('issue 8.3: those that were removed meanwhile are not waited for', () => {
  const { ahead, round } = machine(2)
  ahead.givenBack('removed', hostEnded)
  for (let rounds = 0; rounds < 5; rounds++) assert.equal(round(1.5), 2)
  ahead.claimed(0)
  for (let rounds = 0; rounds < 5; rounds++) round(1.5)
  assert(round(1.5) > 2)
})
