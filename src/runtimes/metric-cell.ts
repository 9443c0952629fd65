/** What the series of a family make together for the runtime, or for one of its models. */
import { MOMENTS } from "./window.ts";

export class Cell {
  /** The page on which it was last. */
  page = 0;
  /** Of a value or label, on that page. */
  series = 0;
  sum = 0;
  max = 0;
  min = 0;
  /** Of a counter or histogram: growth since the beginning, by place. */
  totals = new Float64Array(1);
  /** What that was at each moment of the window, moment by moment. */
  #marks = new Float64Array(MOMENTS);

  add(value: number, page: number): void {
    if (page === this.page) {
      this.series++;
      this.sum += value;
      this.max = Math.max(this.max, value);
      this.min = Math.min(this.min, value);
    } else {
      this.page = page;
      this.series = 1;
      this.sum = this.max = this.min = value;
    }
  }

  grow(place: number, growth: number): void {
    if (place >= this.totals.length) this.#widen(Math.max(place + 1, this.totals.length * 2));
    this.totals[place]! += growth;
  }

  mark(moment: number): void {
    this.#marks.set(this.totals, moment * this.totals.length);
  }

  /** Growth since a moment. */
  since(moment: number, place: number): number {
    const width = this.totals.length;
    return place < width ? this.totals[place]! - this.#marks[moment * width + place]! : 0;
  }

  #widen(width: number): void {
    const marks = new Float64Array(MOMENTS * width);
    const before = this.totals.length;
    for (let i = 0; i < MOMENTS; i++) marks.set(this.#marks.subarray(i * before, (i + 1) * before), i * width);
    this.#marks = marks;
    const totals = new Float64Array(width);
    totals.set(this.totals);
    this.totals = totals;
  }
}
