/**
 * Makes one file of each program that is started often, with V8's code cache of it: to load a hundred small files takes longer than
 * what a command does. `NAME.js` becomes a few lines that run it. Everything else in dist/ stays as the compiler wrote it, also for
 * programs and threads that import those files.
 *
 * No process has a module twice but where actor code imports this package: the classes that it shares with the thread that runs it are
 * left out of the bundle of that, and those that the scan looks for have marks.
 */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, relative, resolve } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
/** Packages that load files of their own by name, and those that few starts need. */
const external = ['lmdb', 'msgpackr', 'piscina', 'ajv', 'cron-parser']
/** Commands of `cli/program.ts` that no supervisor answers, and what they load. */
const local = ['serve', 'check', 'verify', 'cron']
/** Without imports of their own. */
const shared = ['core/actor', 'core/errors']
const localModule = new RegExp(`/(?:commands/(?:${local.join('|')})|embed/start-runtime)\\.ts$`)

// V8 takes a cache for right where the length of the source is.
for (const file of readdirSync('dist/runtime', { recursive: true })) {
  if (file.endsWith('.cache')) rmSync(join('dist/runtime', file))
}
const inputs = await Promise.all([
  bundle('cli/main', 'client', { without: localModule }),
  bundle('cli/main', 'local'),
  bundle('pool/host', 'start'),
  bundle('queue/verify', 'start'),
  bundle('actor/scan', 'start'),
  bundle('actor/thread', 'start', { without: /\/(?:actor|errors)\.ts$/, nameOf: nameOfShared })
])
writeFileSync('dist/runtime/LICENSES.txt', licenses(new Set(inputs.flat().flatMap(packageOf))))
start('cli/main', `${JSON.stringify(local)}.some((name) => process.argv.includes(name)) ? 'local' : 'client'`)
start('pool/host', `'start'`)
start('queue/verify', `'start'`)
start('actor/scan', `'start'`)
start('actor/thread', `'start'`, { give: 'export default ', shared })
await cacheCode()

/**
 * @param without modules that stay outside: this use never comes to them, or has them from others
 * @param nameOf what such a one is asked for by; undefined: it does not stay outside
 * @returns what it was made of
 */
async function bundle(program, use, { without = /^$/, nameOf = ({ path }) => path } = {}) {
  const outfile = `dist/runtime/${program}.${use}.cjs`
  const { metafile } = await build({
    absWorkingDir: root,
    entryPoints: [`runtime/${program}.ts`],
    outfile,
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20.19',
    external,
    // A script whose value is a function, as Node wraps CommonJS.
    banner: { js: '(function (require, __filename, importModule, module) {' },
    footer: { js: 'return module.exports?.default })' },
    legalComments: 'inline',
    plugins: [leaveOut(without, nameOf), ownPlace(dirname(outfile))],
    metafile: true,
    logLevel: 'warning'
  })
  return Object.keys(metafile.inputs)
}

function packageOf(file) {
  return /^node_modules\/(?:@[^/]+\/)?[^/]+/.exec(file) ?? []
}

/** Of the packages whose code is in the bundles. */
function licenses(folders) {
  const texts = [...folders].sort().map((folder) => {
    const { name, version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
    const files = readdirSync(folder).filter((file) => /^licen[cs]e/i.test(file))
    return [`${name} ${version}, ${license}`, ...files.map((file) => readFileSync(join(folder, file), 'utf8'))].join(
      '\n\n'
    )
  })
  return texts.join('\n\n---\n\n')
}

function leaveOut(modules, nameOf) {
  return {
    name: 'leave out',
    setup({ onResolve }) {
      onResolve({ filter: modules }, (asked) => {
        const path = nameOf(asked)
        return path === undefined ? undefined : { path, external: true }
      })
    }
  }
}

function nameOfShared({ path, resolveDir }) {
  const file = relative(join(root, 'runtime'), join(resolveDir, path)).replaceAll('\\', '/')
  return shared.find((name) => `${name}.ts` === file)
}

/**
 * Each module goes on to know where its own file is, since others are named relative to that; esbuild sees what it requires; and
 * modules of users, whose place is no text, are imported by the starter: a script with a code cache cannot import.
 */
function ownPlace(outFolder) {
  return {
    name: 'own place',
    setup({ onLoad }) {
      onLoad({ filter: /[\\/]runtime[\\/].*\.ts$/ }, ({ path }) => {
        const built = join('dist', relative(root, path)).replace(/\.ts$/, '.js')
        const place = JSON.stringify(relative(outFolder, built).replaceAll('\\', '/'))
        const contents = readFileSync(path, 'utf8')
          .replace(/^const require = createRequire\(import\.meta\.url\)$/m, '')
          .replaceAll('import(pathToFileURL', 'importModule(pathToFileURL')
          .replaceAll('import.meta.url', `new URL(${place}, require('node:url').pathToFileURL(__filename)).href`)
        return { contents, loader: 'ts' }
      })
    }
  }
}

/**
 * @param use code that tells which bundle of the program to run
 * @param give `export default` where another module imports the program
 * @param shared modules that it has from their own files
 */
function start(program, use, { give = '', shared = [] } = {}) {
  const name = program.split('/').at(-1)
  const imports = shared.map((path, at) => `import * as shared${at} from '../${path}.js'\n`).join('')
  const entries = shared.map((path, at) => `'${path}': shared${at}`).join(', ')
  const requires = shared.length === 0 ? 'require' : `(name) => ({ ${entries} })[name] ?? require(name)`
  writeFileSync(
    `dist/runtime/${program}.js`,
    `#!/usr/bin/env node
// Made by .dev/bundle.mjs of runtime/${program}.ts. Without a cache of this version of Node, it starts as well.
import { createRequire } from 'node:module'
${imports}
const require = createRequire(import.meta.url)
const { readFileSync } = require('node:fs')
const { Script } = require('node:vm')
const bundle = \`\${import.meta.dirname}/${name}.\${${use}}\`
const filename = \`\${bundle}.cjs\`
let cachedData
try {
  cachedData = readFileSync(\`\${bundle}.\${process.version}-\${process.platform}-\${process.arch}.cache\`)
} catch {}
const script = new Script(readFileSync(filename, 'latin1'), { filename, cachedData })
${give}script.runInThisContext()(${requires}, filename, (url) => import(url), {})
`
  )
}

/** Has each program do what it usually does, so that the cache holds the functions of that. */
async function cacheCode() {
  const project = mkdtempSync(join(tmpdir(), 'runtime-build-'))
  const actors = join(project, 'actors')
  mkdirSync(actors)
  mkdirSync(join(project, 'config'))
  writeFileSync(join(actors, 'build.js'), 'export function run() {}\n')
  writeFileSync(join(project, 'config', 'runtime.yaml'), readFileSync(join(root, 'config', 'runtime.yaml')))
  try {
    const serve = run(project, 'cli/main.local', [['serve', '--log-level', 'silent']])
    await once(createInterface(serve.stdout), 'line')
    const enqueue = ['enqueue', 'build.run', '-p', 'file=x', '--wait', '--json']
    await run(project, 'cli/main.client', [['--help'], ['status'], enqueue, ['jobs'], ['stop', '--json']]).ended
    await serve.ended
    await run(project, 'queue/verify.start', [[join(project, '.runtime', 'store'), '0', 'still']]).ended
    await run(project, 'actor/scan.start', [[]]).ended
    await run(project, 'actor/thread.start', [[]], shared).ended
  } finally {
    rmSync(project, { recursive: true })
  }
}

function run(project, bundle, calls, shared = []) {
  const file = resolve(root, 'dist/runtime', bundle)
  const args = [
    join(root, '.dev', 'cache-code.mjs'),
    `${file}.cjs`,
    `${file}.${process.version}-${process.platform}-${process.arch}.cache`
  ]
  const child = spawn(process.execPath, [...args, JSON.stringify(calls), JSON.stringify(shared)], {
    cwd: project,
    // The scan ends at the end of its input.
    stdio: ['pipe', 'pipe', 'inherit']
  })
  child.stdout.resume()
  const ended = once(child, 'exit').then(([code]) => {
    if (code !== 0) throw new Error(`The bundle ${bundle} does not run.`)
  })
  return { stdout: child.stdout, ended }
}
