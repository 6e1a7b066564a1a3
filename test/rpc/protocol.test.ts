import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { test } from 'node:test'
import { errorCodes, jobErrorCodes } from '../../runtime/core/errors.ts'
import { openRpcDocument } from '../../runtime/rpc/discover.ts'
import { protocolMethods } from '../../runtime/rpc/methods.ts'
import { projectFile } from './project-file.ts'
import { generatedParts } from './protocol-reference.ts'
import { type Message, startServer } from './raw-client.ts'

const path = projectFile('PROTOCOL.md')
const parts = generatedParts()

function marked(name: string): RegExp {
  return new RegExp(`(?<=<!-- generated: ${name} -->\n).*?(?=\n<!-- end -->)`, 's')
}

if (process.env.UPDATE_PROTOCOL === '1') {
  const updated = Object.entries(parts).reduce(
    (text, [name, part]) => text.replace(marked(name), () => `\n${part}\n`),
    readFileSync(path, 'utf8')
  )
  writeFileSync(path, updated)
}

const text = readFileSync(path, 'utf8')

for (const [name, part] of Object.entries(parts)) {
  test(`PROTOCOL.md: the ${name} are those of the tables`, () => {
    const found = marked(name).exec(text)?.[0].trim()
    assert.equal(found, part, 'PROTOCOL.md is out of date: run this test with UPDATE_PROTOCOL=1')
  })
}

test('PROTOCOL.md names every method and error code, and none that does not exist', () => {
  const headings = [...text.matchAll(/^### `([^`]+)`$/gm)].map(([, name]) => name!)
  assert.deepEqual(headings, Object.keys(protocolMethods))
  const codes = new Set([...text.matchAll(/`([A-Z][A-Z_]{3,})`/g)].map(([, code]) => code!))
  for (const code of [...Object.keys(errorCodes), ...Object.keys(jobErrorCodes)]) {
    assert.ok(codes.delete(code), `${code} is missing`)
  }
  assert.deepEqual([...codes], [])
})

test('every example of PROTOCOL.md is answered as it says', async (test) => {
  const examples = [...text.matchAll(/^--> (.*)\n<-- (.*)$/gm)]
  assert.ok(examples.length >= 5)
  const raw = await (await startServer(test)).client()
  for (const [, request, answer] of examples) {
    raw.write(`${request}\n`)
    assert.deepEqual(await raw.next(), JSON.parse(answer!), request)
  }
})

test('rpc.discover describes every method, its params, result and errors', () => {
  const document = openRpcDocument() as { openrpc: string; methods: Message[] }
  assert.match(document.openrpc, /^1\.3\.\d+$/)
  const names = document.methods.map(({ name }) => name)
  assert.deepEqual(names, Object.keys(protocolMethods))
  const [enqueue] = document.methods
  assert.deepEqual(Object.keys(enqueue), ['name', 'summary', 'paramStructure', 'params', 'result', 'errors'])
  assert.deepEqual(enqueue.params[0].name, 'method')
  assert.equal(enqueue.params[0].required, true)
  assert.ok(enqueue.errors.some((error: { code: number }) => error.code === errorCodes.QUEUE_FULL.rpc))
  assert.ok(!JSON.stringify(document).includes('"format":"duration"'))
})

test('the numbers of our own errors are unique and within the range that JSON-RPC leaves to servers', () => {
  const numbers = Object.entries(errorCodes)
    .filter(([code]) => code !== 'PARAMS_INVALID')
    .map(([, { rpc }]) => rpc)
  assert.equal(new Set(numbers).size, numbers.length)
  assert.ok(numbers.every((number) => number <= -32000 && number >= -32099))
})
