/** The options that were given: without the keys whose value is undefined. */
export type Present<T> = { [K in keyof T]?: Exclude<T[K], undefined> }

export function present<T extends object>(options: T): Present<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Present<T>
}
