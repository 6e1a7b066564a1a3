import { behaviour } from './behaviour.ts'
import { onEachRuntime } from './subjects.ts'

/** One thread for the queue whose order is looked at; bounds for the one in which little else happens. */
const workers = {
  long: { backgroundWorkers: 1 },
  short: {
    backgroundWorkers: 4,
    rateLimit: { max: 3, per: '500ms' },
    retention: { failed: { count: 2 } }
  }
}

onEachRuntime(behaviour, workers)
