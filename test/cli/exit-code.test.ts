import assert from 'node:assert/strict'
import { it } from 'node:test'
import { exitCodeOf } from '../../runtime/cli/exit-code.ts'
import { type ErrorCode, errorCodes, RuntimeError } from '../../runtime/core/errors.ts'
import { RpcError, RpcMethodNotFound } from '../../runtime/rpc/json-rpc.ts'

const usage = [
  ...['CONFIG_INVALID', 'DATA_DIR_LOCKED', 'DATA_DIR_INVALID', 'SOCKET_INVALID'],
  ...['METHOD_UNKNOWN', 'QUEUE_UNKNOWN', 'EVENT_UNKNOWN', 'PARAMS_INVALID']
]

function expected(code: string): number {
  if (code === 'NOT_CONNECTED') return 3
  if (code === 'WAIT_TIMEOUT') return 4
  return usage.includes(code) ? 2 : 1
}

for (const code of Object.keys(errorCodes) as ErrorCode[]) {
  it(`ends with ${expected(code)} after ${code}`, () => {
    assert.equal(exitCodeOf(new RuntimeError(code, 'x')), expected(code))
  })
}

it('ends with 2 after a protocol method that does not exist, with 1 after anything else', () => {
  assert.equal(exitCodeOf(new RpcMethodNotFound(-32601, 'x')), 2)
  assert.equal(exitCodeOf(new RpcError(-32603, 'x')), 1)
  assert.equal(exitCodeOf(new TypeError('x')), 1)
})
