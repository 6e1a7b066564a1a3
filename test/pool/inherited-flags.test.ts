import assert from 'node:assert/strict'
import { test } from 'node:test'
import { inheritedFlags } from '../../runtime/pool/inherited-flags.ts'

test("Node's own rule holds unless --input-type is among the flags", () => {
  assert.deepEqual(inheritedFlags([]), {})
  assert.deepEqual(inheritedFlags(['--max-old-space-size=100', '--import', 'x', '-e', '1']), {})
})

test('with --input-type only flags about loading modules are passed on', () => {
  const flags = [
    '--input-type=module',
    '--expose-gc',
    '--import',
    'a.js',
    '--import=b.js',
    '-C',
    'dev',
    '--enable-source-maps',
    '-e',
    '-r'
  ]
  const kept = ['--import', 'a.js', '--import=b.js', '-C', 'dev', '--enable-source-maps']
  assert.deepEqual(inheritedFlags(flags), { execArgv: kept })
  assert.deepEqual(inheritedFlags(['--input-type', 'module', '--inspect', '-e', '--import']), { execArgv: [] })
})
