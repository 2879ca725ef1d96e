/** Letters that wait for a connection: urgent ones first, else in the order they came. */
import type { Letter } from './smtp-letter.ts';

export class Line {
  readonly #urgent: Letter[] = [];
  readonly #ordinary: Letter[] = [];

  get length(): number {
    return this.#urgent.length + this.#ordinary.length;
  }

  get urgent(): number {
    return this.#urgent.length;
  }

  add(letter: Letter): void {
    this.#laneOf(letter).push(letter);
  }

  /** Before all others of its kind. */
  putBack(letter: Letter): void {
    this.#laneOf(letter).unshift(letter);
  }

  /** @param mayBeOrdinary else only an urgent one */
  take(mayBeOrdinary: boolean): Letter | undefined {
    return this.#urgent.shift() ?? (mayBeOrdinary ? this.#ordinary.shift() : undefined);
  }

  #laneOf({ isUrgent }: Letter): Letter[] {
    return isUrgent ? this.#urgent : this.#ordinary;
  }
}
