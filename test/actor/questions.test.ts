import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { MessageChannel } from 'node:worker_threads'
import type { JobWord } from '../../runtime/actor/messages.ts'
import { Questions } from '../../runtime/actor/questions.ts'
import { RuntimeError } from '../../runtime/core/errors.ts'
import type { JobAnswer } from '../../runtime/core/pool.ts'

const referenced = () => process.getActiveResourcesInfo().filter((kind) => kind === 'MessagePort').length

test('the port holds a reference while a question is open, and at no other time', async (t) => {
  const { port1, port2 } = new MessageChannel()
  t.after(() => port1.close())
  const heard: (JobWord & { type: 'asked' })[] = []
  port1.on('message', (message) => heard.push(message))
  const next = async () => {
    if (heard.length === 0) await once(port1, 'message')
    return heard.shift()!
  }
  const answer = (number: number, value: JobAnswer) => port1.postMessage({ number, answer: value })
  const questions = new Questions(port2)
  let ask = questions.begin((asked) => port2.postMessage(asked))
  const before = referenced()
  for (const round of [1, 2]) {
    const sleep = ask('sleep', { index: 0, name: 'a', untilMs: 5 })
    const state = ask('state', {})
    const first = await next()
    const question = { type: 'sleep', index: 0, name: 'a', untilMs: 5 }
    assert.deepEqual({ ...first }, { type: 'asked', number: 2 * round - 1, question })
    const second = await next()
    assert.equal(referenced(), before + 1)
    answer(second.number, { type: 'answered', value: { state: '1' } })
    assert.deepEqual(await state, { state: '1' })
    assert.equal(referenced(), before + 1, 'one is open')
    answer(first.number, { type: 'refused', code: 'STORAGE_FULL', message: 'full', data: { a: 1 } })
    await assert.rejects(sleep, (error) => {
      assert.ok(error instanceof RuntimeError)
      assert.deepEqual([error.code, error.message, error.data], ['STORAGE_FULL', 'full', { a: 1 }])
      return true
    })
    assert.equal(referenced(), before)
  }
  void ask('state', {})
  await next()
  assert.equal(referenced(), before + 1)
  questions.close()
  assert.equal(referenced(), before, 'the attempt is over')
  void ask('state', {})
  assert.equal(referenced(), before, 'it asks nothing any more')
  ask = questions.begin((asked) => port2.postMessage(asked))
  void ask('state', {})
  assert.equal((await next()).number, 6, 'the next attempt, and numbers go on')
  questions.close()
})
