import type { BulkOptions } from '../core/api.ts'
import type { Output } from './output.ts'
import { counted } from './text/counted.ts'

/** Changes many jobs, and tells meanwhile how many it has changed. @param done such as `cancelled` */
export async function withProgress(
  output: Output,
  done: string,
  change: (options: BulkOptions) => Promise<number>
): Promise<number> {
  try {
    return await change({ onProgress: (changed) => output.progress(`${done} ${counted(changed, 'job')} so far`) })
  } finally {
    output.clearProgress()
  }
}
