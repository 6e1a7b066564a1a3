import assert from 'node:assert/strict'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { packageVersion } from '../../runtime/core/version.ts'
import { temporaryFolder } from '../support/temporary-folder.ts'
import { runCli } from './run-cli.ts'
import { startCli } from './spawn-cli.ts'

describe('runtime without a supervisor', () => {
  it('prints help and ends with 0', async (t) => {
    const { code, stdout, stderr } = await startCli(t, temporaryFolder(t), ['--help']).ended
    assert.equal(code, 0)
    assert.match(stdout, /Exit codes: 0 done/)
    assert.equal(stderr, '')
  })

  it('shows the options of the program in the help of a command', async () => {
    const { code, stdout } = await runCli(['enqueue', '--help'])
    assert.equal(code, 0)
    for (const option of ['--params', '--wait-timeout', '--socket', '--json']) assert.ok(stdout.includes(option))
  })

  it('prints the version of the package', async () => {
    const { code, stdout } = await runCli(['--version'])
    assert.equal(code, 0)
    assert.equal(stdout, `${packageVersion()}\n`)
    assert.equal(JSON.parse(readFileSync('package.json', 'utf8')).version, packageVersion())
  })

  const wrong: [args: string[], message: RegExp][] = [
    [['nonsense'], /^runtime: unknown command 'nonsense'/],
    [['jobs', '--nonsense'], /^runtime: unknown option '--nonsense'/],
    [['job'], /^runtime: missing required argument 'id'/],
    [['job', 'a', 'b'], /^runtime: too many arguments/],
    [['jobs', '--limit', '0'], /Expected a whole number from 1 to 1000/],
    [['jobs', '--state', 'lost'], /Allowed choices are scheduled/],
    [['enqueue', 'a.run', '--delay', 'soon'], /Expected seconds/],
    [['enqueue', 'a.run', '--delay', '1', '--at', '2026-01-31'], /cannot be used with option/],
    [['enqueue', 'a.run', '--now', '--wait-timeout', '1'], /cannot be used with option/],
    [['enqueue', 'a.run', '--throttle', '1', '--debounce', '1'], /cannot be used with option/],
    [['enqueue', 'a.run', '--keep-last', '--deduplicate'], /cannot be used with option/],
    [['enqueue', 'a.run', '--key-concurrency', '0'], /Expected a whole number from 1/],
    [['enqueue', 'a.run', '--on-parent-failure', 'ignore'], /Allowed choices are fail, cancel, release/],
    [['enqueue', 'a.run', '--expires', 'soon'], /Expected seconds/],
    [['jobs', '--error-code', 'LATE'], /Allowed choices are THROWN/],
    [['jobs', '--since', 'yesterday'], /Expected an instant/],
    [['retry', '--failed', '--state', 'failed'], /cannot be used with option/],
    [['move', '1'], /required option '--to <queue>' not specified/],
    [['serve', '--log-level', 'loud'], /Allowed choices are error/],
    [['scheduler', 'stop'], /Allowed choices are pause/],
    [['maintenance', 'maybe'], /Allowed choices are on/],
    [['enqueue-doc', 'a.Type', 'x'], /^runtime: missing required argument 'method'/],
    [['enqueue-doc', 'a.Type', 'x', 'add', '--key', 'k'], /^runtime: unknown option '--key'/],
    [['doc', 'get', 'a.Type'], /^runtime: missing required argument 'name'/],
    [['doc', 'list', 'a.Type', '--limit', '0'], /Expected a whole number from 1 to 1000/],
    [['doc', 'lose'], /^runtime: unknown command 'lose'/],
    [['outbox', 'commit'], /^runtime: missing required argument 'id'/],
    [['signal', '42'], /^runtime: missing required argument 'name'/],
    [['trigger'], /^runtime: missing required argument 'event'/]
  ]
  for (const [args, message] of wrong) {
    it(`ends with 2 after "${args.join(' ')}"`, async () => {
      const { code, stdout, stderr } = await runCli(args)
      assert.equal(code, 2)
      assert.equal(stdout, '')
      assert.match(stderr, message)
    })
  }

  it('ends with 2 and prints help to standard error without a command', async () => {
    const { code, stdout, stderr } = await runCli([])
    assert.equal(code, 2)
    assert.equal(stdout, '')
    assert.match(stderr, /^Usage: runtime/)
  })

  it('ends with 2 and prints the help of a group of commands that is called without one', async () => {
    for (const [group, listed] of [
      ['doc', /export \[options\] \[type\]/],
      ['outbox', /abort <id>/]
    ] as const) {
      const { code, stdout, stderr } = await runCli([group])
      assert.deepEqual([code, stdout], [2, ''])
      assert.match(stderr, listed)
    }
  })

  it('writes usage errors as JSON with --json', async () => {
    const { code, stderr } = await runCli(['--json', 'job'])
    assert.equal(code, 2)
    assert.equal(JSON.parse(stderr).error.code, 'USAGE')
  })

  it('ends with 3 where no supervisor listens, and names the socket', async (t) => {
    const folder = temporaryFolder(t)
    const { code, stdout, stderr } = await startCli(t, folder, ['status']).ended
    assert.equal(code, 3)
    assert.equal(stdout, '')
    assert.ok(stderr.includes(join(folder, '.runtime', 'runtime.sock')), stderr)
  })

  it('writes errors as JSON to standard error with --json', async (t) => {
    const { code, stdout, stderr } = await runCli([
      'status',
      '--json',
      '--socket',
      join(temporaryFolder(t), 'none.sock')
    ])
    assert.equal(code, 3)
    assert.equal(stdout, '')
    assert.equal(JSON.parse(stderr).error.code, 'NOT_CONNECTED')
  })

  it('does not read the configuration where the socket is named', async (t) => {
    const folder = temporaryFolder(t)
    const file = join(folder, 'broken.yaml')
    writeFileSync(file, '{')
    assert.equal(
      (await runCli(['status', '--config', file, '--socket', join(temporaryFolder(t), 'none.sock')])).code,
      3
    )
    assert.equal((await runCli(['status', '--config', file])).code, 2)
  })

  it('lists every problem of the configuration in check, and ends with 2', async (t) => {
    const folder = temporaryFolder(t)
    const file = join(folder, 'bad.yaml')
    writeFileSync(file, 'dataDri: x\nworkers:\n  q: { timeout: never }\n')
    const human = await runCli(['check', '--config', file])
    assert.equal(human.code, 2)
    assert.match(human.stdout, /bad\.yaml:1:1 .*dataDir/)
    assert.match(human.stdout, /bad\.yaml:3:\d+ /)
    assert.match(human.stdout, /2 problems found\./)
    const machine = await runCli(['check', '--config', file, '--json'])
    assert.equal(machine.code, 2)
    assert.equal(JSON.parse(machine.stdout).problems.length, 2)
  })
})
