/** The child process of one run: asks one question of one system, once, tells the figures and ends. */
import type { Extent } from './question.ts'
import { questions } from './questions.ts'
import type { Place } from './system.ts'
import { systems } from './systems.ts'

export interface RunRequest {
  question: string
  system: string
  place: Place
  extent: Extent
}

process.once('message', async ({ question, system, place, extent }: RunRequest) => {
  const figures = await questions.get(question)!.measure({ system: systems.get(system)!, place, extent })
  process.send!(figures, () => process.exit(0))
})
