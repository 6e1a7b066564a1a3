// Runs a bundle with one list of arguments after the other, and keeps V8's code of all that they needed.
// Arguments: bundle, file of the cache, lists of arguments as JSON, modules of dist/runtime that it has from their own files as JSON.
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Script } from 'node:vm'

const [filename, cacheFile, lists, shared] = process.argv.slice(2)
const calls = JSON.parse(lists)
const script = new Script(readFileSync(filename, 'latin1'), { filename })
const start = script.runInThisContext()

const require = createRequire(filename)
const modules = new Map()
for (const name of JSON.parse(shared)) modules.set(name, await import(`../dist/runtime/${name}.js`))
const requireOf = (name) => modules.get(name) ?? require(name)

process.on('beforeExit', next)
next()

function next() {
  const args = calls.shift()
  if (args === undefined) {
    process.off('beforeExit', next)
    writeFileSync(cacheFile, script.createCachedData())
    return
  }
  process.argv = [process.execPath, filename, ...args]
  start(requireOf, filename, (url) => import(url), {})
}
