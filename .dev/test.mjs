// Runs the built tests: `node .dev/test.mjs` all of them, with arguments those whose path contains one of the texts.
// `--long`: only those that have a long form, in that form.
import { spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'

const isLong = process.argv.includes('--long')
const wanted = process.argv.slice(2).filter((argument) => argument !== '--long')
const files = readdirSync('dist/test', { recursive: true })
  .map((file) => join('dist/test', file))
  .filter((file) => file.endsWith('.test.js'))
  .filter((file) => wanted.length === 0 || wanted.some((part) => file.includes(part)))
  .filter((file) => !isLong || readFileSync(file, 'utf8').includes('process.env.LONG'))
  .sort()
if (files.length === 0) {
  console.error(`No test file matches ${process.argv.slice(2).join(', ')}`)
  process.exit(1)
}
// One that hangs ends the run with its name. Long forms have limits of their own.
const limit = process.env.LONG === undefined && !isLong ? ['--test-timeout=600000'] : []
// Tests wait for processes and timers as much as they compute.
const concurrency = availableParallelism() + 1
// Where it is set each process of Node reads all certificates as it starts. Of what tests do only npm speaks TLS.
const { NODE_EXTRA_CA_CERTS: certificates, ...others } = process.env
const environment = { ...others, ...(certificates === undefined ? {} : { CERTIFICATES_FOR_NPM: certificates }) }
const { status } = spawnSync(
  process.execPath,
  ['--enable-source-maps', '--test', `--test-concurrency=${concurrency}`, '--test-reporter=spec', ...limit, ...files],
  { stdio: 'inherit', env: { ...environment, ...(isLong ? { LONG: '1' } : {}) } }
)
process.exit(status ?? 1)
