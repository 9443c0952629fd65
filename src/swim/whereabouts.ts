/**
 * Where members are by network coordinates, and how far from each other. A member's coordinate comes with its acks; who
 * speaks with it in another way may bring it as well (`place`), since in a large mesh one is probed seldom.
 */
import type { Prng } from "../base/prng.ts";
import { Acquaintances } from "./acquaintance.ts";
import { type Coordinate, coordinateDistance, ERROR, Vivaldi } from "./coordinate.ts";
import type { Names } from "./lexicon.ts";
import { COORDINATE_FLOATS } from "./wire.ts";

/**
 * A distance counts when it is wrong by less than this share of it, or by a few milliseconds: a new coordinate takes some
 * twenty round trips to be that good. One that never moved says nothing.
 */
const WRONG_SHARE_MAX = 0.6;
const WRONG_MS_MAX = 5;
const ERROR_NEW = 1.5;
const FLOAT_MAX = 3_600_000;

export class Whereabouts {
  readonly acquaintances = new Acquaintances();
  readonly #names: Names;
  readonly #self: number;
  readonly #vivaldi: Vivaldi;

  constructor(names: Names, self: number, prng: Prng) {
    this.#names = names;
    this.#self = self;
    this.#vivaldi = new Vivaldi(prng);
  }

  /** This node's. */
  get own(): Coordinate {
    return this.#vivaldi.own;
  }

  /** A member that is there answered after that time. */
  measured(member: number, coordinate: Coordinate, rttMs: number, nowMs: number): void {
    const medianMs = this.acquaintances.observe(member, rttMs, nowMs);
    this.acquaintances.place(member, coordinate);
    this.#vivaldi.observe(coordinate, medianMs);
  }

  /** A member told where it is; what is no coordinate is passed over. */
  place(id: string, coordinate: Float32Array): void {
    const handle = this.#names.ids.findText(id);
    if (handle < 0 || handle === this.#self || coordinate.length !== COORDINATE_FLOATS) return;
    if (coordinate.every((figure) => Math.abs(figure) < FLOAT_MAX)) this.acquaintances.place(handle, coordinate);
  }

  /** The round trip to expect between two members, in milliseconds; undefined while one of them is not placed well. */
  distance(a: string, b: string): number | undefined {
    const [from, to] = [this.#coordinate(a), this.#coordinate(b)];
    if (from === undefined || to === undefined) return undefined;
    const wrong = Math.max(from[ERROR]!, to[ERROR]!);
    const ms = coordinateDistance(from, to);
    return wrong < ERROR_NEW && ms * wrong <= Math.max(WRONG_MS_MAX, ms * WRONG_SHARE_MAX) ? ms : undefined;
  }

  #coordinate(id: string): Coordinate | undefined {
    const handle = this.#names.ids.findText(id);
    return handle === this.#self ? this.own : this.acquaintances.coordinate(handle);
  }
}
