/**
 * `runtime events`: what happens to jobs from now on, one line each, until it is interrupted (exit code 0) or the
 * supervisor ends (3). `--json`: one event a line, as the notification `event` carries it.
 */
import { RuntimeError } from '../../core/errors.ts'
import type { ClientSession } from '../client-session.ts'
import { present } from '../present.ts'
import { formatEvent } from '../text/event-text.ts'

export interface EventsOptions {
  queue?: string
  job?: string
}

export async function events({ runtime, output }: ClientSession, { queue, job }: EventsOptions): Promise<void> {
  const ended = endOfWatching()
  await runtime.subscribe(present({ queue, job }), (event) => {
    output.answer(event, (look) => formatEvent(look, event))
  })
  if ((await ended) === 'disconnected') {
    throw new RuntimeError('NOT_CONNECTED', 'The connection to the supervisor ended, so no more events come.')
  }
}

/** A lost connection leaves this process with nothing to wait for, which is what `beforeExit` tells. */
function endOfWatching(): Promise<'interrupted' | 'disconnected'> {
  return new Promise((resolve) => {
    process.once('SIGINT', () => resolve('interrupted'))
    process.once('SIGTERM', () => resolve('interrupted'))
    process.once('beforeExit', () => resolve('disconnected'))
  })
}
