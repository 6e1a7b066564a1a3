import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { cutBelow, valueDeeperThan } from '../../runtime/rpc/depth.ts'

test('the depth of a value counts arrays and objects', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.nat(8), (value, depthMax) => {
      assert.equal(valueDeeperThan(value, depthMax), depthOf(value) > depthMax)
    })
  )
})

test('what is cut is too deep by one level; what is not too deep stays as it is', () => {
  fc.assert(
    fc.property(fc.jsonValue({ maxDepth: 6 }), fc.nat(8), (value, depthMax) => {
      const cut = JSON.parse(cutBelow(Buffer.from(JSON.stringify(value)), depthMax).toString())
      const depth = depthOf(value)
      assert.equal(depthOf(cut), Math.min(depth, depthMax + 1))
      if (depth <= depthMax) assert.deepEqual(cut, JSON.parse(JSON.stringify(value)))
    })
  )
})

test('brackets and quotes within texts do not count', () => {
  const text = JSON.stringify([`[[[${'['.repeat(50)}`, '\\"[[[[', '\\'])
  assert.equal(cutBelow(Buffer.from(text), 1).toString(), text)
})

test('millions of levels cost no recursion, and no time in the parser', () => {
  const text = Buffer.from('['.repeat(4_000_000) + ']'.repeat(4_000_000))
  assert.equal(cutBelow(text, 64).toString(), '['.repeat(65) + ']'.repeat(65))
})

function depthOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0
  return 1 + Math.max(0, ...Object.values(value).map(depthOf))
}
