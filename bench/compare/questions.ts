/** Every question by its name, in the order in which they are asked. */
import type { Question } from './question.ts'
import { backlog } from './questions/backlog.ts'
import { bulk } from './questions/bulk.ts'
import { completion } from './questions/completion.ts'
import { cycle } from './questions/cycle.ts'
import { delayed } from './questions/delayed.ts'
import { enqueue } from './questions/enqueue.ts'
import { growth } from './questions/growth.ts'
import { idle } from './questions/idle.ts'
import { kill } from './questions/kill.ts'
import { latency } from './questions/latency.ts'
import { payload } from './questions/payload.ts'
import { ready } from './questions/ready.ts'
import { restart } from './questions/restart.ts'

const all: readonly Question[] = [
  completion,
  enqueue,
  bulk,
  cycle,
  latency,
  delayed,
  idle,
  ready,
  kill,
  restart,
  payload,
  backlog,
  growth
]

export const questions: ReadonlyMap<string, Question> = new Map(all.map((question) => [question.name, question]))
