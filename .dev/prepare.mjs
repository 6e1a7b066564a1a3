// Brings a checkout into a runnable state: installs packages when the lock file changed, builds when a source changed.
// Does nothing, in a few milliseconds, when neither did. Everything it says goes to standard error.
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { chmodSync, existsSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const sourceFolders = ['.dev', 'runtime', 'test', 'bench']
process.chdir(root)

step('node_modules/.prepared', lockDigest(), 'Installing packages', () => {
  run(process.platform === 'win32' ? 'npm.cmd' : 'npm', ['ci', '--no-audit', '--no-fund', '--loglevel=error'])
})
step('dist/.prepared', sourceDigest(), 'Building', () => {
  run(process.execPath, ['node_modules/typescript/bin/tsc'])
  removeOrphans('dist')
  run(process.execPath, ['.dev/bundle.mjs'])
  // `npx runtime` runs it as a command.
  chmodSync('dist/runtime/cli/main.js', 0o755)
})

/** Runs `action` unless its stamp says that it has been run on the same input. */
function step(stamp, digest, title, action) {
  if (existsSync(stamp) && readFileSync(stamp, 'utf8') === digest) return
  process.stderr.write(`${title}…\n`)
  action()
  writeFileSync(stamp, digest)
}

function lockDigest() {
  return createHash('sha256').update(readFileSync('package-lock.json')).update(process.version).digest('hex')
}

function sourceDigest() {
  const hash = createHash('sha256').update(lockDigest()).update(readFileSync('tsconfig.json'))
  for (const file of sourceFolders.flatMap((folder) => filesBelow(folder)).sort()) {
    hash.update(file).update(readFileSync(file))
  }
  return hash.digest('hex')
}

/** A built file whose source is gone would still be imported, or run as a test. */
function removeOrphans(folder) {
  for (const file of filesBelow(folder)) {
    const source = relative(folder, file).replace(/(\.d\.ts|\.js|\.js\.map)$/, '.ts')
    if (source.endsWith('.ts') && !existsSync(source)) rmSync(file)
  }
}

function filesBelow(folder) {
  return readdirSync(folder).flatMap((name) => {
    const path = join(folder, name)
    return statSync(path).isDirectory() ? filesBelow(path) : [path]
  })
}

function run(command, args) {
  try {
    execFileSync(command, args, { stdio: ['ignore', 2, 2] })
  } catch (error) {
    process.exit(error.status ?? 1)
  }
}
