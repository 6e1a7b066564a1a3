/** @returns the map itself, which from now on refuses to change; `Object.freeze` alone leaves the entries of a map open. */
export function frozenMap<Key, Value>(map: ReadonlyMap<Key, Value>): ReadonlyMap<Key, Value> {
  const refuse = () => {
    throw new TypeError('Cannot change a frozen map')
  }
  for (const method of ['set', 'delete', 'clear']) Object.defineProperty(map, method, { value: refuse })
  return Object.freeze(map)
}
