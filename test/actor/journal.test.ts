/** The journal of one attempt, with a supervisor that answers when the test says. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { Journal } from '../../runtime/actor/journal.ts'
import type { Ask } from '../../runtime/actor/questions.ts'
import { outcomeOf } from './memory-journal.ts'

test('issue 6.3: a method that does not wait for what it enqueues at once is over when that is answered', async () => {
  const questions: string[] = []
  let answer = (_ids: { ids: string[] }) => {}
  const ask = ((type: string) => {
    questions.push(type)
    return new Promise((resolve) => {
      answer = resolve as typeof answer
    })
  }) as Ask
  const journal = new Journal({ entries: [], ask, warn: () => {} })
  let isOver = false
  const outcome = outcomeOf(journal, async () => {
    void journal.enqueue('enqueue a.b', [{ method: 'a.b' }])
    return { type: 'completed', result: 'null' }
  })
  void outcome.then(() => {
    isOver = true
  })
  for (let turn = 0; turn < 10; turn++) await nextTurn()
  assert.deepEqual([questions, isOver], [['enqueue'], false])
  answer({ ids: ['job'] })
  assert.deepEqual(await outcome, { type: 'completed', result: 'null' })
})
