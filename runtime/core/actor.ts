/** Marks the class among copies of this package: an actor module may load another one than the runtime does. */
export const actorMark: unique symbol = Symbol.for('actor-runtime.Actor')

/**
 * A document type is an exported class that extends this one (E11). For each job an instance is made, given the state of
 * its document, and one of its methods called with the params and a `Context`. What `this.state` is when the method has
 * returned is the new state, in the same commit as the result, the jobs that it enqueued and its completion; a method that
 * throws changes nothing.
 *
 * @typeParam State what JSON can say
 */
export abstract class Actor<State = unknown> {
  static readonly [actorMark] = true
  /**
   * Version of the form of the state; a whole number from 1. Stored with it. State of an older version goes through
   * {@link Actor.migrate} before the next method runs.
   */
  static version = 1
  /** Name of the document. */
  declare readonly name: string
  /** Set from the store before a method runs. A field `state = {…}` of the class is the state of a new document. */
  declare state: State
  /** The state of a new document, where the class has no field `state`. Default: `{}`. */
  initialState?(name: string): State
  /** @returns the state in the form of this version, from one of an older version */
  migrate?(state: unknown, fromVersion: number): State
}
