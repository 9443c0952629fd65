/** One place where a runtime takes requests, as an object of Kubernetes tells of it; and how what it tells is read. */
import { isRecord } from "../base/field.ts";
import { isPrintable, printable } from "../base/printable.ts";
import { isPortNumber, type KubeSource } from "./source.ts";

/** Whether it may be sent to: as Kubernetes has it, "draining" once it is to end. */
export type EndpointCondition = "ready" | "unready" | "draining";

export interface KubeEndpoint {
  readonly namespace: string;
  /** The pod's name; "" where it is none. */
  readonly pod: string;
  /** An address, without brackets; of a slice of names a name. */
  readonly host: string;
  /** As it is called or numbered, and its number: one for each that is wanted. */
  readonly ports: readonly { readonly name: string; readonly number: number }[];
  readonly condition: EndpointCondition;
  readonly zone: string;
  /** The machine that it runs on. */
  readonly machine: string;
  /** "" where it was found without one. */
  readonly service: string;
}

/** What one object came to. */
export interface ObjectRead {
  readonly endpoints: readonly KubeEndpoint[];
  /** Why it has fewer than it might have; "" where nothing is wrong. */
  readonly fault: string;
}

/** A port that an object lists. */
export interface ListedPort {
  readonly name: string;
  readonly number: number;
}

/** Where nothing is said, the port of that name is meant. */
const USUAL_PORT = "http";
const TEXT_MAX = 253;
const WORDS_MAX = 500;

/** Those that are wanted of those that are listed; why not, where they can't be told. A number counts whether listed or not. */
export function wantedPorts(
  listed: readonly ListedPort[],
  { ports }: Pick<KubeSource, "ports">,
): readonly ListedPort[] | string {
  const names = listed.map(({ name, number }) => (name === "" ? String(number) : name)).join(", ") || "none";
  if (ports.length === 0) {
    const usual = listed.length === 1 ? listed[0] : listed.find(({ name }) => name === USUAL_PORT);
    return usual === undefined ? `it has several ports or none (${names}): say which by port=` : [usual];
  }
  const found = ports.map((port) =>
    isPortNumber(port) ? { name: port, number: Number(port) } : listed.find(({ name }) => name === port),
  );
  const missing = ports.find((_, index) => found[index] === undefined);
  return missing === undefined ? (found as ListedPort[]) : `it has no port ${missing} (it has ${names})`;
}

/** Text that may stand in ids, logs and labels; "" for anything else. */
export function textAt(record: unknown, ...path: readonly string[]): string {
  const value = valueAt(record, ...path);
  return typeof value === "string" && value.length <= TEXT_MAX && isPrintable(value) ? value : "";
}

/** What somebody says, fit for a line of a log and cut short; "" for anything else. */
export function wordsAt(record: unknown, ...path: readonly string[]): string {
  const value = valueAt(record, ...path);
  return typeof value === "string" ? printable(value.slice(0, WORDS_MAX)) : "";
}

export function listAt(record: unknown, ...path: readonly string[]): readonly unknown[] {
  const value = valueAt(record, ...path);
  return Array.isArray(value) ? value : [];
}

export function valueAt(record: unknown, ...path: readonly string[]): unknown {
  let value = record;
  for (const key of path) value = isRecord(value) && Object.hasOwn(value, key) ? value[key] : undefined;
  return value;
}

/** Undefined for what is no number of a port. */
export function portAt(record: unknown, key: string): number | undefined {
  const value = valueAt(record, key);
  return Number.isInteger(value) && (value as number) >= 1 && (value as number) <= 65_535
    ? (value as number)
    : undefined;
}

const ADDRESS = /^(?:[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)$/;
const NAME = /^[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?$/;

export function isHost(text: string, isName: boolean): boolean {
  return text.length <= TEXT_MAX && (isName ? NAME : ADDRESS).test(text);
}
