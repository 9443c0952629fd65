/**
 * Where models may run, compiled from pins for the hot path. A model without a pin may run anywhere; so may one whose pin
 * names neither nodes nor labels.
 */
import type { PinSpec } from "./spec.ts";

interface Pin {
  readonly spec: PinSpec;
  readonly nodes: ReadonlySet<string> | null;
  /** Labels and their values, in turn. */
  readonly selector: readonly string[];
}

export class PinView {
  readonly #pins = new Map<string, Pin>();

  get size(): number {
    return this.#pins.size;
  }

  put(model: string, spec: PinSpec): void {
    const nodes = spec.nodes === undefined ? null : new Set(spec.nodes);
    this.#pins.set(model, { spec, nodes, selector: Object.entries(spec.selector ?? {}).flat() });
  }

  delete(model: string): void {
    this.#pins.delete(model);
  }

  clear(): void {
    this.#pins.clear();
  }

  /** Whether requests of the model may go to that node, which has those labels. */
  allows(model: string, node: string, labels: Readonly<Record<string, string>>): boolean {
    const pin = this.#pins.get(model);
    if (pin === undefined) return true;
    const { nodes, selector } = pin;
    if (nodes !== null) return nodes.has(node);
    for (let at = 0; at < selector.length; at += 2) {
      const label = selector[at]!;
      if (!Object.hasOwn(labels, label) || labels[label] !== selector[at + 1]) return false;
    }
    return true;
  }

  pinFor(model: string): PinSpec | undefined {
    return this.#pins.get(model)?.spec;
  }
}
