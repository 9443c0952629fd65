/**
 * A server as a table: its ports, what it is asked, what its metrics are called, what is read of its other answers, how
 * models are loaded and let go. Adapters that come with infermesh are such tables, and so is what `--runtime generic`
 * reads of a file (runtime-map.ts). TableAdapter (table-adapter.ts) makes an adapter of one.
 */
import type { Answer, Feed, LoadOptions, Look, ModelCall, Port, ReadFault } from "./adapter.ts";
import type { MetricMap } from "./metric-map.ts";
import type { EngineFigures, KvEventsTold, ModelReading, RuntimeKind, RuntimeReading } from "./reading.ts";

/** What an answer tells of a model; what it does not tell is left out. */
export interface ModelTold extends Partial<Omit<ModelReading, "model" | "figures">> {
  readonly model: string;
  /** Beside those of the metrics, which count where both tell one. */
  readonly figures?: Partial<EngineFigures>;
}

/** What an answer tells. */
export interface Told {
  readonly version?: string;
  /** Of a look of role `models`: all that there are. Of others: more of those that such a look named. */
  readonly models?: readonly ModelTold[];
  /** Of the runtime as a whole, beside those of the metrics, which count where both tell one. */
  readonly figures?: Partial<EngineFigures>;
  readonly kvEvents?: KvEventsTold | undefined;
  /** For this adapter's own `finish`. */
  readonly notes?: Readonly<Record<string, unknown>>;
}

/** Why an answer tells nothing. */
export interface Refusal {
  readonly kind: ReadFault;
  readonly message: string;
}

export interface TableLook extends Look {
  /**
   * Reads an answer with status 200 to 299, or with another one that is fine; of a health path nothing need be read. Looks
   * of role `metrics` without it are read by the table's map.
   */
  readonly read?: (answer: Answer) => Told | Refusal;
  /** What other statuses mean where that differs from the usual: `{ 404: "not_ready" }`; `"ok"` where it is fine. */
  readonly statuses?: Readonly<Record<number, ReadFault | "ok">>;
  /** What to do about a status, for people. */
  readonly advice?: Readonly<Record<number, string>>;
  /** Of role `metrics`: the model whose own process the page is of. */
  readonly model?: string;
}

export interface AdapterTable {
  readonly kind: RuntimeKind;
  /** As people call it. */
  readonly title: string;
  /** The numbers of its ports as it has them by default; one that is left out is the same as `api`. */
  readonly ports: Readonly<Partial<Record<Port, number>>>;
  /** Where its names, paths and states are documented or programmed. */
  readonly sources: readonly string[];
  readonly looks: readonly TableLook[];
  /** Instead of them, where what is asked depends on what was told: all that is asked now. */
  readonly looksNow?: (reading: RuntimeReading, known: Known) => readonly TableLook[];
  /** Of the looks of role `metrics`. */
  readonly metrics?: MetricMap;
  /** What is truly special: the reading as it would be, with what else is known. */
  readonly finish?: (reading: RuntimeReading, known: Known) => RuntimeReading;
  readonly feed?: (known: Known) => Feed | undefined;
  readonly load?: (model: string, options: LoadOptions, reading: RuntimeReading, known: Known) => ModelCall | undefined;
  readonly unload?: (model: string, reading: RuntimeReading, known: Known) => ModelCall | undefined;
}

export interface Known {
  /** What each look told last, by its name. */
  readonly told: ReadonlyMap<string, Told>;
  /** The further numbers of the metric map, by the last page. */
  readonly notes: Readonly<Record<string, number | undefined>>;
  /** Models that the last page of metrics named. */
  readonly named: readonly string[];
}

export function isRefusal(told: Told | Refusal): told is Refusal {
  return "kind" in told;
}

/** A look as most are: a GET at the api port, named by its path. */
export function get(role: Look["role"], path: string, more: Partial<Omit<TableLook, "role">> = {}): TableLook {
  return { name: path, role, ask: { method: "GET", port: "api", path }, ...more };
}
