/**
 * To which nodes requests for a model may go, as the policies have it: for who tells of it. Routers decide by the same
 * rules, each with what it knows of the nodes (proxy/eligibility.ts).
 */
import type { Item } from "./item.ts";
import { PinView } from "./pin-view.ts";
import { ranked } from "./replica-order.ts";

interface Candidate {
  readonly id: string;
  readonly labels: Readonly<Record<string, string>>;
}

export class ServingView {
  readonly #pins = new PinView();
  readonly #closed = new Set<string>();

  constructor(items: Iterable<Item>) {
    for (const item of items) {
      if (item.kind === "pin") this.#pins.put(item.name, item.spec);
      if (item.kind === "node" && (item.spec.cordoned === true || item.spec.draining === true)) {
        this.#closed.add(item.name);
      }
    }
  }

  /** Of the nodes that could serve the model the ones that may. */
  serving(model: string, able: readonly Candidate[]): ReadonlySet<string> {
    const ids = able
      .filter(({ id, labels }) => !this.#closed.has(id) && this.#pins.allows(model, id, labels))
      .map(({ id }) => id);
    const { maxReplicas, nodes = [] } = this.#pins.pinFor(model) ?? {};
    return new Set(maxReplicas === undefined ? ids : ranked(model, ids, nodes).slice(0, maxReplicas));
  }
}
