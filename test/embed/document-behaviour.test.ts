import { documentBehaviour } from './document-behaviour.ts'
import { onEachRuntime } from './subjects.ts'

onEachRuntime(documentBehaviour, { default: { backgroundWorkers: 2 }, long: { backgroundWorkers: 1 } })
