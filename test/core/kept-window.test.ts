import assert from 'node:assert/strict'
import { test } from 'node:test'
import { KeptWindow } from '../../runtime/core/kept-window.ts'

function kept(window: KeptWindow<string>): string {
  let items = ''
  for (let number = window.first; number < window.next; number++) items += window.get(number)
  return items
}

test('what is too much goes from the old end: by number, bytes and age', () => {
  const window = new KeptWindow<string>({ itemsMax: 3, bytesMax: 10, ageMsMax: 100 })
  for (const item of 'abcd') window.add(item, 1, 0)
  assert.equal(kept(window), 'bcd')
  window.add('e', 9, 50)
  assert.equal(kept(window), 'de', 'ten bytes')
  window.add('f', 1, 120)
  assert.equal(kept(window), 'ef')
  window.dropOld(151)
  assert.equal(kept(window), 'f')
  window.dropOld(500)
  assert.equal(kept(window), '')
  assert.equal(window.first, window.next)
})

test('the newest stays, however large it is', () => {
  const window = new KeptWindow<string>({ itemsMax: 0, bytesMax: 0, ageMsMax: 0 })
  window.add('a', 5, 0)
  assert.equal(kept(window), 'a')
  window.add('b', 5, 1)
  assert.equal(kept(window), 'b')
})

test('after an interruption no position of the past is within the window', () => {
  const window = new KeptWindow<string>({ itemsMax: 3, bytesMax: 10, ageMsMax: 100 })
  window.add('a', 1, 0)
  const before = window.next
  window.interrupt()
  assert.ok(before < window.first)
  window.add('b', 1, 0)
  assert.equal(kept(window), 'b')
})
