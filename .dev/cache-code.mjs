// Runs a bundle with one list of arguments after the other, and keeps V8's code of all that they needed.
// Arguments: bundle, file of the cache, lists of arguments as JSON.
import { readFileSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { Script } from 'node:vm'

const [filename, cacheFile, lists] = process.argv.slice(2)
const calls = JSON.parse(lists)
const script = new Script(readFileSync(filename, 'latin1'), { filename })
const start = script.runInThisContext()

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
  start(createRequire(filename), filename, (url) => import(url))
}
