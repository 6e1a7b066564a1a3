/**
 * Child process that owns a data directory and does what it is told over the channel: one answer to each request, in order.
 * It says `up` first, so that several can be let loose on one directory at the same moment.
 */
import { RuntimeError } from '../../runtime/core/errors.ts'
import { type OpenDataDirectory, openDataDirectory } from '../../runtime/store/data-directory.ts'
import type { Answer, Request } from './owner-process.ts'

let directory: OpenDataDirectory | undefined

process.on('message', (request: Request) => {
  answer(request)
    .catch((error: unknown) => refusal(error))
    .then((sent) => process.send!(sent))
})
process.on('disconnect', () => process.exit())
process.send!({ type: 'up', pid: process.pid } satisfies Answer)

async function answer(request: Request): Promise<Answer> {
  switch (request.type) {
    case 'user':
      process.setgid!(request.id)
      process.setuid!(request.id)
      return { type: 'done' }
    case 'open':
      directory = await openDataDirectory(request.directory)
      return { type: 'opened', tag: directory.tag, unclean: directory.unclean }
    case 'put':
      await directory!.store.transact((transaction) =>
        transaction.put(Buffer.from(request.key, 'hex'), Buffer.from(request.value, 'hex'))
      )
      if (request.thenDie) process.kill(process.pid, 'SIGKILL')
      return { type: 'done' }
    case 'close':
      await directory!.close()
      directory = undefined
      return { type: 'done' }
  }
}

function refusal(error: unknown): Answer {
  const { code, message, data } = error as Partial<RuntimeError> & Error
  const isRuntimeError = error instanceof RuntimeError
  return { type: 'refused', code: isRuntimeError ? String(code) : '', message, pid: Number(data?.pid ?? 0) }
}
