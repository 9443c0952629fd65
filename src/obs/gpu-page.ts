/**
 * Prometheus' text of GPUs, written straight from what was read: eight of them make some two thousand lines, and the
 * registry's objects for those would cost ten times as much as the text.
 */
import type { Metric } from "./exposition.ts";

/** One line; nothing for what is not known. `labels` are written already, and stand behind those of the GPU. */
export type Put = (value: number | boolean | undefined, labels?: string) => void;

export class GpuPage {
  #text = "";
  #metric: Metric | undefined;
  #isBegun = false;
  #labels = "";
  readonly #put: Put = (value, labels = "") => {
    if (value === undefined || this.#metric === undefined) return;
    const { name } = this.#metric;
    if (!this.#isBegun) {
      this.#text += `# HELP ${name} ${this.#metric.help}\n# TYPE ${name} ${this.#metric.type}\n`;
      this.#isBegun = true;
    }
    const comma = this.#labels !== "" && labels !== "" ? "," : "";
    this.#text += `${name}{${this.#labels}${comma}${labels}} ${Number(value)}\n`;
  };

  get text(): string {
    return this.#text;
  }

  /** All lines of one metric; its head only if there is one. */
  family<T>(metric: Metric, of: readonly T[], labelsOf: (one: T) => string, write: (one: T, put: Put) => void): void {
    this.#metric = metric;
    this.#isBegun = false;
    for (const one of of) {
      this.#labels = labelsOf(one);
      write(one, this.#put);
    }
  }
}

/** The first of each key: what a driver lists twice must not be a series that comes twice, which costs the whole page. */
export function unique<T>(list: readonly T[], keyOf: (one: T) => string | number): readonly T[] {
  const seen = new Set<string | number>();
  return list.filter((one) => {
    const key = keyOf(one);
    return !seen.has(key) && seen.add(key);
  });
}

/** `name="value"`; nothing for what is not known, which is the same to Prometheus as an empty one. */
export function label(name: string, value: string | number | undefined): string {
  if (value === undefined || value === "") return "";
  return `${name}="${typeof value === "number" ? value : escaped(value)}"`;
}

export function joined(...labels: readonly string[]): string {
  return labels.filter((written) => written !== "").join(",");
}

function escaped(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}
