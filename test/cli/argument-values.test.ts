import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { InvalidArgumentError } from 'commander'
import {
  collectPair,
  integerBetween,
  parseDuration,
  parseExpiry,
  parseInstant,
  parsePast
} from '../../runtime/cli/argument-values.ts'

describe('values of the command line', () => {
  it('takes a bare number for seconds and keeps a unit', () => {
    assert.equal(parseDuration('90'), 90)
    assert.equal(parseDuration('1.5'), 1.5)
    assert.equal(parseDuration('250ms'), '250ms')
  })

  for (const text of ['', 'soon', '-1', '5 lightyears', '1e3', 'Infinity']) {
    it(`refuses "${text}" as a duration`, () => assert.throws(() => parseDuration(text), InvalidArgumentError))
  }

  it('takes ISO 8601 text as it is and epoch milliseconds as a number', () => {
    assert.equal(parseInstant('2026-01-31T18:15:00Z'), '2026-01-31T18:15:00Z')
    assert.equal(parseInstant('1769883300000'), 1_769_883_300_000)
  })

  for (const text of ['', 'tomorrow', '2026-02-31', '-1']) {
    it(`refuses "${text}" as an instant`, () => assert.throws(() => parseInstant(text), InvalidArgumentError))
  }

  it('takes a span from now or an instant for an end, and a span back from now or an instant for a beginning', () => {
    assert.equal(parseExpiry('90'), 90)
    assert.equal(parseExpiry('2h'), '2h')
    assert.equal(parseExpiry('2026-01-31T18:15:00Z'), '2026-01-31T18:15:00Z')
    const twoHoursAgoMs = Date.now() - 7_200_000
    const past = Number(parsePast('2h'))
    assert.ok(past >= twoHoursAgoMs && past <= twoHoursAgoMs + 60_000, `${past}`)
    assert.equal(parsePast('2026-01-31'), '2026-01-31')
    assert.equal(parsePast('1769883300000'), 1_769_883_300_000)
    for (const text of ['', 'soon', '-1', '2026-02-31']) {
      assert.throws(() => parseExpiry(text), InvalidArgumentError)
      assert.throws(() => parsePast(text), InvalidArgumentError)
    }
  })

  it('takes whole numbers within their bounds only', () => {
    const parse = integerBetween(-5, 5)
    assert.equal(parse('-5'), -5)
    for (const text of ['6', '-6', '1.5', '', 'x', '0x1']) assert.throws(() => parse(text), InvalidArgumentError)
  })

  it('reads the value of a pair as JSON where it is JSON, else as text', () => {
    const values = ['3', 'true', 'null', '"3"', '[1,2]', '{"a":1}', 'text', '', 'a=b', '007', '{broken']
    assert.deepEqual(
      values.map((value) => collectPair(`key=${value}`)[0]![1]),
      [3, true, null, '3', [1, 2], { a: 1 }, 'text', '', 'a=b', '007', '{broken']
    )
  })

  it('never changes the digits of a number', () => {
    for (const digits of ['12345678901234567890', '1e999']) {
      assert.equal(collectPair(`account=${digits}`)[0]![1], digits)
    }
  })

  it('collects pairs in the order in which they came', () => {
    assert.deepEqual(collectPair('b=2', collectPair('a=1')), [
      ['a', 1],
      ['b', 2]
    ])
  })

  for (const text of ['key', '=value', '']) {
    it(`refuses "${text}" as a pair`, () => assert.throws(() => collectPair(text), InvalidArgumentError))
  }
})
