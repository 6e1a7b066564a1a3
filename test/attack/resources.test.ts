/**
 * The socket under attack (issue 7.6): clients that take places, memory and descriptors instead of sending nonsense. Each
 * meets a bound, others are served meanwhile, and everything is free again afterwards.
 */
import assert from 'node:assert/strict'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import type { Socket } from 'node:net'
import { type TestContext, test } from 'node:test'
import { setTimeout as pause } from 'node:timers/promises'
import { connectSocket } from '../../runtime/rpc/socket-path.ts'
import { cliMain } from '../cli/spawn-cli.ts'
import { type Message, RawClient } from '../rpc/raw-client.ts'
import { connected } from '../support/connected.ts'
import { TestProject } from '../support/supervisor-process.ts'

const isLong = process.env.LONG !== undefined
const limit = { timeout: isLong ? 600_000 : 120_000, skip: process.platform !== 'linux' && 'Linux only' }

async function served(t: TestContext, ...launcher: string[]) {
  const project = new TestProject(t)
  project.write('actors/a.js', `export const ping = () => 'pong'`)
  const [command = process.execPath, ...args] = launcher
  const node = launcher.length === 0 ? [] : [process.execPath]
  const started = project.startProcess(command, ...args, ...node, cliMain, 'serve', '--log-level', 'error')
  await started.stdout.said('\n')
  const pid = started.process.pid!
  return { project, pid, socketPath: project.socketPath, client: () => RawClient.connect(t, project.socketPath) }
}

function residentMb(pid: number): number {
  return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) / 1024
}

function descriptors(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length
}

/** Connections that stay as they are; refused ones among them are closed by the server. */
async function flood(t: TestContext, socketPath: string, count: number): Promise<Socket[]> {
  const sockets: Socket[] = []
  t.after(() => {
    for (const socket of sockets) socket.destroy()
  })
  for (let opened = 0; opened < count; opened += 100) {
    const some = Array.from({ length: Math.min(100, count - opened) }, () =>
      connectSocket(socketPath).catch(() => undefined)
    )
    sockets.push(...(await Promise.all(some)).filter((socket) => socket !== undefined))
  }
  for (const socket of sockets) socket.on('error', () => undefined)
  return sockets
}

/** Until the supervisor has as few descriptors as that again. */
async function freed(pid: number, descriptorsMax: number): Promise<void> {
  while (descriptors(pid) > descriptorsMax) await pause(20)
}

function codeOf(message: Message): string | undefined {
  return message?.error?.data?.code
}

test(
  'issue 7.6: 10,000 connections: those over the bound are refused, a client beside is served, and places are free again',
  limit,
  async (t) => {
    const { pid, socketPath, client } = await served(t)
    const good = await client()
    await good.ask('status')
    const before = descriptors(pid)
    const flooding = flood(t, socketPath, isLong ? 10_000 : 2_000)
    let worstMs = 0
    let isFlooded = false
    flooding.then(() => {
      isFlooded = true
    })
    for (let calls = 0; !isFlooded || calls < 20; calls++) {
      const beganMs = performance.now()
      assert.ok((await good.ask('enqueue', { method: 'a.ping' })).result)
      worstMs = Math.max(worstMs, performance.now() - beganMs)
    }
    const sockets = await flooding
    const refused = new RawClient(await connectSocket(socketPath))
    const told = await refused.next()
    assert.ok(told === undefined || codeOf(told) === 'TOO_MANY_REQUESTS', JSON.stringify(told))
    assert.ok(descriptors(pid) <= before + 1_150, `descriptors ${descriptors(pid)}`)
    assert.equal((await good.ask('enqueue', { method: 'a.ping', isAsync: false })).result.result, 'pong')
    assert.ok(worstMs < 5_000, `a call took ${worstMs} ms`)
    for (const socket of sockets) socket.destroy()
    await freed(pid, before + 20)
    assert.ok((await (await client()).ask('status')).result)
    t.diagnostic(`${sockets.length} connections; the slowest call beside ${worstMs.toFixed(0)} ms`)
  }
)

test('issue 7.6: with 256 descriptors a flood of connections leaves enough for hosts and store', limit, async (t) => {
  const { pid, socketPath, client } = await served(t, 'prlimit', '--nofile=256:256')
  const good = await client()
  await good.ask('status')
  const sockets = await flood(t, socketPath, 400)
  assert.ok(descriptors(pid) < 200, `descriptors ${descriptors(pid)}`)
  for (const queue of ['short', 'default', 'long']) {
    const answer = await good.ask('enqueue', { method: 'a.ping', queue, isAsync: false })
    assert.equal(answer.result?.result, 'pong', JSON.stringify(answer))
  }
  for (const socket of sockets) socket.destroy()
  await freed(pid, 100)
  assert.ok((await (await client()).ask('status')).result)
})

test('issue 7.6: connections that come and go, or go in the middle of an answer, leave nothing', limit, async (t) => {
  const { pid, socketPath, client } = await served(t)
  const good = await client()
  const before = descriptors(pid)
  const count = isLong ? 50_000 : 600
  const lane = async (lanes: number) => {
    for (let number = 0; number < count / lanes; number++) {
      const socket = await connectSocket(socketPath)
      socket.on('error', () => undefined)
      if (number % 3 === 1) socket.write('{"jsonrpc":"2.0","id":1,"method":"rpc.discover"}\n'.repeat(5))
      if (number % 3 === 2)
        await once(socket.write('{"jsonrpc":"2.0","id":1,"method":"status"}\n') ? socket : socket, 'data')
      socket.destroy()
    }
  }
  await Promise.all(Array.from({ length: 20 }, () => lane(20)))
  assert.ok((await good.ask('status')).result)
  await freed(pid, before + 10)
  const resident = residentMb(pid)
  assert.ok(resident < 400, `resident ${resident} MB`)
  t.diagnostic(`${count} connections; resident ${resident.toFixed(0)} MB`)
})

test(
  'issue 7.6: half requests of many connections take no more memory than the bound for all of them',
  limit,
  async (t) => {
    const { pid, socketPath, client } = await served(t)
    const good = await client()
    await good.ask('status')
    const sockets = await flood(t, socketPath, 60)
    const half = Buffer.alloc(15 * 1024 * 1024, 'x')
    const closed = sockets.map((socket) => new Promise((resolve) => socket.resume().once('close', resolve)))
    for (const socket of sockets) socket.write(half)
    await Promise.race(closed)
    assert.ok((await good.ask('status')).result)
    const resident = residentMb(pid)
    assert.ok(resident < 800, `resident ${resident} MB`)
  }
)

test('issue 7.6: waits end with their connection, and too many at once are refused', limit, async (t) => {
  const { pid, client } = await served(t)
  const good = await client()
  const { result } = await good.ask('enqueue', { method: 'a.ping', delay: '30d' })
  const waits = isLong ? 100_000 : 25_000
  const wait = `${JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'job.wait', params: { id: result.id } })}\n`
  for (let round = 0; round < (isLong ? 30 : 3); round++) {
    const greedy = await client()
    greedy.write(wait.repeat(waits))
    greedy.send({ jsonrpc: '2.0', id: 'last', method: 'status' })
    let refused = 0
    for (let answer = await greedy.next(); answer?.id !== 'last'; answer = await greedy.next()) {
      assert.equal(codeOf(answer), 'TOO_MANY_REQUESTS')
      refused += 1
    }
    assert.equal(refused, waits - 20_000)
    greedy.socket.destroy()
    await greedy.closed()
  }
  assert.ok((await good.ask('status')).result)
  const resident = residentMb(pid)
  assert.ok(resident < 500, `resident ${resident} MB`)
  t.diagnostic(`resident ${resident.toFixed(0)} MB`)
})

test(
  'issue 7.6: 10,000 subscriptions on a connection that never reads are refused beyond 100, and cost others nothing',
  limit,
  async (t) => {
    const { project, pid, client } = await served(t)
    const lazy = await client()
    lazy.socket.pause()
    lazy.write('{"jsonrpc":"2.0","id":1,"method":"events.subscribe"}\n'.repeat(10_000))
    const runtime = await connected(t, project.socketPath)
    for (let round = 0; round < 20; round++) {
      await runtime.enqueueMany(
        Array.from({ length: 100 }, () => ({ method: 'a.ping', delay: '1h', params: 'x'.repeat(1_000) }))
      )
    }
    const resident = residentMb(pid)
    assert.ok(resident < 400, `resident ${resident} MB`)
    lazy.socket.resume()
    let accepted = 0
    for (let count = 0; count < 10_000; ) {
      const answer = await lazy.next()
      if (answer.method === 'event') continue
      count += 1
      if (answer.result === undefined) assert.equal(codeOf(answer), 'TOO_MANY_REQUESTS')
      else accepted += 1
    }
    assert.equal(accepted, 100)
  }
)

test('issue 7.6: a client that asks and never reads is dropped, and does not hold others up', limit, async (t) => {
  const { pid, client } = await served(t)
  const good = await client()
  const jobs = Array.from({ length: 500 }, () => ({ method: 'a.ping', delay: '1h', params: 'x'.repeat(2_000) }))
  await good.ask('enqueueMany', { jobs })
  const lazy = await client()
  const ended = once(lazy.socket, 'close')
  lazy.socket.pause()
  lazy.write('{"jsonrpc":"2.0","id":1,"method":"job.list","params":{"limit":1000}}\n'.repeat(1_000))
  let worstMs = 0
  let worstMb = 0
  let isClosed = false
  lazy.socket.on('error', () => undefined)
  const gone = (async () => {
    for (let calls = 0; calls < 100; calls++) {
      const beganMs = performance.now()
      await good.ask('status')
      worstMs = Math.max(worstMs, performance.now() - beganMs)
      worstMb = Math.max(worstMb, residentMb(pid))
    }
  })()
  await gone
  lazy.socket.resume()
  await ended.then(() => {
    isClosed = true
  })
  assert.ok(isClosed)
  assert.ok(worstMb < 600, `resident ${worstMb} MB`)
  assert.ok(worstMs < 2_000, `a call took ${worstMs} ms`)
  t.diagnostic(`the slowest call beside ${worstMs.toFixed(0)} ms, resident at most ${worstMb.toFixed(0)} MB`)
})
