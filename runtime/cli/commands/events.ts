/**
 * `runtime events`: what happens to jobs from now on, or since a cursor, one line each, until it is interrupted (exit code 0)
 * or the supervisor ends (3). `--json`: one event a line, as the notification `event` carries it.
 *
 * On standard error: where events are missing, a line that says so (`{"gap":{"missed","reason"}}`), and at the end the cursor
 * with which to go on (`{"cursor"}`).
 */
import { RuntimeError } from '../../core/errors.ts'
import type { EventFilter, JobEventType } from '../../core/events.ts'
import type { ClientSession } from '../client-session.ts'
import { present } from '../present.ts'
import { formatEvent, formatGap } from '../text/event-text.ts'

export interface EventsOptions {
  queue?: string
  job?: string
  method?: string
  type?: JobEventType[]
  since?: string
}

export async function events({ runtime, output }: ClientSession, options: EventsOptions): Promise<void> {
  const ended = endOfWatching()
  const { queue, job, method, type: types, since: cursor } = options
  const filter: EventFilter = present({ queue, job, method, types })
  let goOnAt: string | undefined
  const subscription = await runtime.subscribe(
    filter,
    (event, after) => {
      goOnAt = after
      output.answer(event, (look) => formatEvent(look, event))
    },
    {
      ...present({ cursor }),
      onGap: (gap, after) => {
        goOnAt = after
        output.notice({ gap }, (look) => formatGap(look, gap))
      }
    }
  )
  const end = await ended
  goOnAt ??= subscription.cursor
  output.notice({ cursor: goOnAt }, () => `To go on from here: --since ${goOnAt}`)
  if (end === 'disconnected') {
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
