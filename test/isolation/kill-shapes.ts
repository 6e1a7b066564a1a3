/**
 * Jobs that never end, each in a way of its own: what a deadline has to be stronger than. None of them ends by itself
 * within minutes, so whatever is gone after a kill was ended by it.
 */

export interface KillShape {
  name: string
  /** Name of the export of {@link shapesModule}. */
  method: string
  /** Nothing but the end of its process is sure to end it, so an inline pool cannot promise anything. */
  needsProcess: boolean
}

export const killShapes: readonly KillShape[] = [
  { name: 'while (true)', method: 'loop', needsProcess: false },
  { name: 'microtask loop', method: 'microtasks', needsProcess: false },
  { name: 'catastrophic regular expression', method: 'regularExpression', needsProcess: false },
  { name: 'Atomics.wait', method: 'atomicsWait', needsProcess: false },
  { name: 'catches everything', method: 'catchAll', needsProcess: false },
  { name: 'unsettled promise', method: 'unsettled', needsProcess: false },
  { name: '10,000 timers', method: 'timers', needsProcess: false },
  { name: 'loop of large JSON.parse', method: 'jsonParse', needsProcess: true },
  { name: 'pbkdf2Sync', method: 'pbkdf2', needsProcess: true },
  { name: 'scryptSync', method: 'scrypt', needsProcess: true },
  { name: "execSync('sleep 300')", method: 'execSleep', needsProcess: true },
  { name: 'blocked FIFO read, sync', method: 'fifoSync', needsProcess: true },
  { name: 'blocked FIFO read, async', method: 'fifoAsync', needsProcess: true },
  { name: 'child that ignores SIGTERM', method: 'stubbornChild', needsProcess: true },
  { name: 'child in a session of its own', method: 'detachedChild', needsProcess: true },
  { name: 'child that nobody can wait for', method: 'childThenLoop', needsProcess: true }
]

/** The actor module. `fifo` of the params is a FIFO that somebody holds open for writing and never writes to. */
export const shapesModule = `
import { execSync, spawn } from 'node:child_process'
import { pbkdf2Sync, scryptSync } from 'node:crypto'
import { once } from 'node:events'
import { promises, readFileSync } from 'node:fs'
import { setTimeout as wait } from 'node:timers/promises'

export function loop() {
  while (true) {}
}

export async function microtasks() {
  for (;;) await null
}

export function regularExpression() {
  return /^(a+)+$/.test('a'.repeat(60) + 'b')
}

export function atomicsWait() {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0)
}

export async function catchAll() {
  process.on('uncaughtException', () => {})
  process.on('unhandledRejection', () => {})
  process.on('exit', () => { for (;;); })
  for (;;) {
    try {
      await wait(10)
      throw new Error('caught')
    } catch {}
  }
}

export function unsettled() {
  return new Promise(() => {})
}

export function timers() {
  for (let count = 0; count < 10_000; count++) setInterval(() => {}, 1 + (count % 100))
  return new Promise(() => {})
}

export function jsonParse() {
  const text = '[' + '{"a":[1,2,3],"b":"text"},'.repeat(400_000) + '0]'
  for (;;) JSON.parse(text)
}

export function pbkdf2() {
  pbkdf2Sync('password', 'salt', 2 ** 31 - 1, 64, 'sha512')
}

export function scrypt() {
  scryptSync('password', 'salt', 64, { N: 2 ** 14, r: 8, p: 20_000, maxmem: 2 ** 30 })
}

export function execSleep() {
  execSync('sleep 300')
}

export function fifoSync({ fifo }) {
  readFileSync(fifo)
}

export async function fifoAsync({ fifo }) {
  await promises.readFile(fifo)
}

export async function stubbornChild() {
  await once(spawn('sh', ['-c', "trap '' TERM; while :; do sleep 300; done"], { stdio: 'ignore' }), 'close')
}

export async function detachedChild() {
  const script = "trap '' TERM HUP; (sleep 300 & sleep 300); wait"
  await once(spawn('sh', ['-c', script], { stdio: 'ignore', detached: true }), 'close')
}

export function childThenLoop() {
  spawn('sleep', ['300'], { stdio: 'ignore' })
  while (true) {}
}

export async function healthy({ file, forMs, text }) {
  for (const untilMs = Date.now() + forMs; Date.now() < untilMs; ) await wait(20)
  await promises.writeFile(file, text)
  return 'done'
}

export function now() {
  return Date.now()
}
`
