/**
 * What the compiler knows of a method that a program imports: which params it takes, and what comes back. A program that passes
 * the function or the class itself has its calls checked; one that passes a path has not.
 */
import type { Actor } from './actor.ts'
import type { Context } from './context.ts'
import type { Json } from './json.ts'

/** A function that an actor module exports. */
// biome-ignore lint/suspicious/noExplicitAny: any method of a user's, whatever its parameters
export type ActorFunction = (params: any, ctx: Context) => unknown

/** A class that an actor module exports, and that extends {@link Actor}. */
export type ActorClass<Document extends Actor = Actor> = new () => Document

/** What belongs to the class and not to its callers; nor is what begins with `_` theirs. */
type NotCallable = keyof Actor | `_${string}`

/** Names of the methods of a document that can be called. */
export type MethodName<Document extends Actor> = {
  [Key in keyof Document]-?: Key extends string
    ? Key extends NotCallable
      ? never
      : Document[Key] extends ActorFunction
        ? Key
        : never
    : never
}[keyof Document]

export type MethodOf<Document extends Actor, Name extends keyof Document> = Extract<Document[Name], ActorFunction>

/**
 * The arguments after the method: its params and the options. The params may be left out where the method takes none, may get
 * undefined, or needs nothing of them: it receives `{}` then.
 */
export type CallArguments<Method extends ActorFunction, Options> =
  Record<never, never> extends Parameters<Method>[0]
    ? OptionalParams<Method, Options>
    : undefined extends Parameters<Method>[0]
      ? OptionalParams<Method, Options>
      : [params: Parameters<Method>[0], options?: Options]

type OptionalParams<Method extends ActorFunction, Options> = [
  params?: Parameters<Method>[0] | undefined,
  options?: Options
]

/** What the job has as its `result`, once JSON has carried it. */
export type ResultOf<Method extends ActorFunction> = AsJson<Awaited<ReturnType<Method>>>

/** What JSON makes of a value: a date becomes a text, undefined null, and of a class its fields stay. */
type AsJson<Value> = unknown extends Value
  ? Json
  : Value extends Json
    ? Value
    : Value extends { toJSON(): infer Said }
      ? AsJson<Said>
      : // biome-ignore lint/suspicious/noConfusingVoidType: what a function returns that returns nothing
        Value extends void | undefined
        ? null
        : Value extends ActorFunction | symbol | bigint
          ? never
          : Value extends readonly unknown[]
            ? { [Index in keyof Value]: AsJson<Value[Index]> }
            : Value extends object
              ? { [Key in keyof Value as FieldOf<Value, Key>]: FieldAsJson<Value[Key]> }
              : never

/** Functions and symbols are left out of objects. */
type FieldOf<Value, Key extends keyof Value> = Key extends symbol
  ? never
  : Value[Key] extends ((...args: never) => unknown) | symbol
    ? never
    : Key

/** A field that is undefined is left out. */
type FieldAsJson<Field> = unknown extends Field
  ? Json
  : undefined extends Field
    ? AsJson<Exclude<Field, undefined>> | undefined
    : AsJson<Field>
