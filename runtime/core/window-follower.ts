/**
 * One reader of a {@link KeptWindow}: it takes every item that passes, in order, at its own pace.
 *
 * A reader that cannot take any more is only counted for: it holds a position and the number of items that wait, never an
 * item, so a slow one costs no memory and holds up nobody. Once it can take again it goes on from its position; what is
 * not kept any more is told first, as an exact number.
 *
 * Each item is counted when it is added or the reader begins, while it is certainly kept; hence the number is exact.
 */
import type { KeptWindow } from './kept-window.ts'

export interface WindowReader<T> {
  passes(item: T): boolean
  /** Whether it can take something now. When it can again, it calls {@link WindowFollower.catchUp}. */
  ready(): boolean
  /** @param position after the item */
  take(item: T, position: number): void
  /** @param position after what was lost */
  lost(count: number, position: number): void
}

export class WindowFollower<T> {
  readonly #window: KeptWindow<T>
  readonly #reader: WindowReader<T>
  #position: number
  /** Everything before it has been counted. */
  #countedTo: number
  /** Items from the position on that pass and have not been taken. */
  #waiting = 0
  #state: 'following' | 'ended' = 'following'

  /** @param position from the window's `first` to its `next` */
  constructor(window: KeptWindow<T>, reader: WindowReader<T>, position: number) {
    this.#window = window
    this.#reader = reader
    this.#position = position
    this.#countedTo = position
    this.#count()
  }

  /**
   * Takes what waits, as far as the reader can. To be called after each item that is added, and when it is ready again; does
   * nothing once ended.
   */
  catchUp(): void {
    if (this.#state === 'ended') return
    this.#count()
    while (this.#waiting > 0 && this.#state === 'following' && this.#reader.ready()) {
      if (this.#position < this.#window.first) this.#skipLost()
      else this.#takeNext()
    }
    if (this.#waiting === 0) this.#position = this.#window.next
  }

  /** Nothing is taken any more, also of a catch-up that is under way. */
  end(): void {
    this.#state = 'ended'
  }

  #count(): void {
    while (this.#countedTo < this.#window.next) {
      if (this.#reader.passes(this.#window.get(this.#countedTo++))) this.#waiting += 1
    }
  }

  #skipLost(): void {
    const { first, next } = this.#window
    let kept = 0
    for (let number = first; number < next; number++) if (this.#reader.passes(this.#window.get(number))) kept += 1
    const lost = this.#waiting - kept
    this.#waiting = kept
    this.#position = first
    if (lost > 0) this.#reader.lost(lost, first)
  }

  #takeNext(): void {
    const item = this.#window.get(this.#position++)
    if (!this.#reader.passes(item)) return
    this.#waiting -= 1
    this.#reader.take(item, this.#position)
  }
}
