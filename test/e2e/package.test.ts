/**
 * The package as its users get it: packed, installed from the archive into an empty folder, served by its `runtime`
 * command, and imported with its types. It holds what was built last, so `dist/` has to be there, and its dependencies
 * come from the cache of npm or the registry.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { projectFile } from '../rpc/project-file.ts'
import { connected } from '../support/connected.ts'
import { TestProject } from '../support/supervisor-process.ts'

const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm'
const npx = process.platform === 'win32' ? 'npx.cmd' : 'npx'

/** `.dev/test.mjs` keeps these certificates from all processes but npm. */
function npmEnvironment(): NodeJS.ProcessEnv {
  const { CERTIFICATES_FOR_NPM: certificates, ...others } = process.env
  return certificates === undefined ? others : { ...others, NODE_EXTRA_CA_CERTS: certificates }
}

const program = `
import { type Context, connect, createRuntime, type JobView, RetryLater, type Runtime } from 'actor-runtime'

export async function main(): Promise<JobView> {
  const runtime: Runtime = await createRuntime({ dataDir: 'data', workers: { mine: { timeout: '5m' } } })
  const { id } = await runtime.enqueue('a.run', { month: 3 }, { queue: 'mine' })
  const remote: Runtime = await connect('runtime.sock')
  return remote.job.wait(id)
}

export function actor(params: { month: number }, ctx: Context): number {
  if (ctx.attempt === 1) throw new RetryLater('5m')
  return params.month
}

// @ts-expect-error: a queue has no such option
void createRuntime({ workers: { mine: { timeouts: 5 } } })
`

test('the packed package serves, runs an actor, and has types', { timeout: 180_000 }, async (t) => {
  const root = projectFile('.')
  assert.ok(existsSync(join(root, 'dist/runtime/cli/main.js')), 'dist/ is missing: run "npm run build" first')
  const project = new TestProject(t)
  const { folder } = project
  const execute = (command: string, args: string[], cwd = folder) =>
    execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], env: npmEnvironment() })

  const packed = execute(npm, ['pack', '--json', '--ignore-scripts', '--pack-destination', folder], root)
  const [{ filename, files }] = JSON.parse(packed) as [{ filename: string; files: { path: string }[] }]
  assert.deepEqual(
    files.filter(({ path }) => /^(test|bench|dist\/test|dist\/bench)\//.test(path)),
    []
  )
  project.write('package.json', '{ "name": "empty", "private": true, "type": "module" }\n')
  execute(npm, ['install', '--prefer-offline', '--no-audit', '--no-fund', '--loglevel=error', filename])

  const supervisor = project.startProcess(npx, '--no', 'runtime', 'serve', '--json')
  const failed = await Promise.race([supervisor.stdout.said('\n'), supervisor.ended])
  assert.equal(failed, undefined, failed?.stderr)
  const ready = JSON.parse(supervisor.stdout.text)
  assert.equal(ready.socket, project.socketPath)
  // The folder of the actors did not even exist when it started.
  project.write('actors/a.js', "import { RetryLater } from 'actor-runtime'\nexport const run = () => RetryLater.name\n")
  const runtime = await connected(t, project.socketPath)
  const { state, result, error } = await runtime.enqueue('a.run', {}, { isAsync: false })
  assert.deepEqual([state, result, error], ['completed', 'RetryLater', undefined])
  assert.match(execute(npx, ['--no', 'runtime', 'stop']), new RegExp(`\\b${ready.pid}\\b`))
  await supervisor.ended

  const file = project.write('program.ts', program)
  const tsc = join(root, 'node_modules/typescript/bin/tsc')
  const types = ['--types', 'node', '--typeRoots', join(root, 'node_modules/@types')]
  execute(process.execPath, [tsc, '--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2023', ...types, file])
})
