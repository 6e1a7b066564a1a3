import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { FrameSplitter, type Framing, frameText, headerBytesMax } from '../../runtime/rpc/framing.ts'

const bytesMax = 1_000

function split(stream: Buffer, cuts: readonly number[], splitter = new FrameSplitter(bytesMax)): string[] {
  const frames: string[] = []
  const places = [...new Set(cuts.map((cut) => cut % (stream.length + 1)))].sort((a, b) => a - b)
  for (const [index, start] of [0, ...places].entries()) {
    // A copy: what is kept of a chunk must not lean on its memory once the next one is there.
    const chunk = Buffer.from(stream.subarray(start, places[index] ?? stream.length))
    frames.push(...splitter.push(chunk).map((frame) => frame.toString()))
  }
  return frames
}

const values = fc.array(fc.json({ maxDepth: 2 }).filter((text) => Buffer.byteLength(text) < bytesMax))
const cuts = fc.array(fc.nat(), { maxLength: 40 })

for (const framing of ['line', 'header'] satisfies Framing[]) {
  test(`${framing} framing: however the stream is cut, the frames are the same`, () => {
    fc.assert(
      fc.property(values, cuts, (texts, cuts) => {
        const stream = Buffer.from(texts.map((text) => frameText(text, framing)).join(''))
        assert.deepEqual(split(stream, cuts), texts)
      })
    )
  })
}

test('any bytes cut in any way give the same frames and the same violation', () => {
  const pieces = fc.constantFrom(
    'Content-Length: 2\r\n',
    'content-type: x\r\n',
    '\r\n',
    '\n',
    '{}',
    'é',
    ' ',
    'x'.repeat(900)
  )
  fc.assert(
    fc.property(fc.array(pieces), cuts, (parts, cuts) => {
      const stream = Buffer.from(parts.join(''))
      const [whole, cut] = [new FrameSplitter(bytesMax), new FrameSplitter(bytesMax)]
      assert.deepEqual(split(stream, cuts, cut), split(stream, [], whole))
      assert.equal(cut.violation?.message, whole.violation?.message)
    })
  )
})

test('line framing takes \\r\\n and ignores blank lines', () => {
  assert.deepEqual(split(Buffer.from('\n \t\r\n{}\r\n\r\n[]\n'), []), ['{}', '[]'])
})

test('header framing reads names without regard to case, in any order', () => {
  const splitter = new FrameSplitter(bytesMax)
  const stream = 'content-TYPE: a\r\nCONTENT-length :2\r\nX: y\r\n\r\n{}Content-Length: 2\n\n[]'
  assert.deepEqual(split(Buffer.from(stream), [], splitter), ['{}', '[]'])
  assert.equal(splitter.framing, 'header')
})

test('header framing goes on for any number of frames', () => {
  const texts = Array(1_000).fill('{}')
  assert.deepEqual(split(Buffer.from(texts.map((text) => frameText(text, 'header')).join('')), []), texts)
})

test('a frame of the largest size passes, one byte more is a violation, what came before it stands', () => {
  for (const framing of ['line', 'header'] satisfies Framing[]) {
    const splitter = new FrameSplitter(bytesMax)
    const largest = JSON.stringify('x'.repeat(bytesMax - 2))
    const stream = [largest, largest.replace('x', 'xx'), '{}'].map((text) => frameText(text, framing)).join('')
    assert.deepEqual(split(Buffer.from(stream), [], splitter), [largest])
    assert.match(splitter.violation!.message, /larger than 1000 bytes/)
  }
})

test('a line without end is a violation as soon as it is too long', () => {
  const splitter = new FrameSplitter(bytesMax)
  assert.deepEqual(splitter.push(Buffer.alloc(bytesMax + 2, 'x')), [])
  assert.match(splitter.violation!.message, /larger than/)
})

test('headers without end, without length or with a wrong one are violations', () => {
  for (const [stream, problem] of [
    [`Content-Length: 2\r\nX: ${'x'.repeat(headerBytesMax)}`, /longer than 4096/],
    ['Content-Length: 2\r\n'.repeat(500), /longer than 4096/],
    ['Content-Type: 2\r\n\r\n{}', /no Content-Length/],
    ['Content-Length: -2\r\n\r\n{}', /not a number/],
    ['Content-Length: 1e3\r\n\r\n{}', /not a number/],
    ['Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}', /two Content-Lengths/],
    ['Content-Type: 2\r\n{"jsonrpc":"2.0"}\r\n', /no header/]
  ] as const) {
    const splitter = new FrameSplitter(bytesMax)
    assert.deepEqual(splitter.push(Buffer.from(stream)), [])
    assert.match(splitter.violation!.message, problem)
  }
})

test('a large frame in small chunks takes time in proportion to its size', () => {
  const bytes = 8 * 1024 * 1024
  const splitter = new FrameSplitter(bytes)
  const chunk = Buffer.alloc(64, 'x')
  const start = performance.now()
  for (let sent = 0; sent < bytes; sent += chunk.length) splitter.push(chunk)
  assert.equal(splitter.push(Buffer.from('\n'))[0]?.length, bytes)
  // Joining at each chunk would move 512 GiB.
  assert.ok(performance.now() - start < 5_000)
})
