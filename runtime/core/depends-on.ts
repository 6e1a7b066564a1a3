/** Jobs of several calls that share a commit are one list in the end. What `dependsOn` counts is the list of its own call. */
import type { EnqueueRequest } from './job.ts'

/**
 * @param first place of the first job of the call in the whole list @param own index of this job in its call
 * @param count how many jobs the call has
 * @returns the job with places of the whole list @throws TypeError where an index is of no other job of the call
 */
export function inWholeList<Job extends Pick<EnqueueRequest, 'method' | 'dependsOn'>>(
  job: Job,
  first: number,
  own: number,
  count: number
): Job {
  const { method, dependsOn } = job
  if (dependsOn === 'others') {
    const places = Array.from({ length: count }, (_, index) => first + index)
    return { ...job, dependsOn: places.filter((place) => place !== first + own) }
  }
  if (!Array.isArray(dependsOn)) return job
  const placeOf = (parent: string | number) => {
    if (typeof parent !== 'number') return parent
    if (Number.isInteger(parent) && parent >= 0 && parent < count && parent !== own) return first + parent
    throw new TypeError(
      `Cannot enqueue "${method}": dependsOn names job ${parent}, and there is no other job of that index in this call`
    )
  }
  return { ...job, dependsOn: dependsOn.map(placeOf) }
}
