/**
 * Faults that a mock node is told to show. Validation is pure and strict: an unknown key or a wrong value is answered
 * with what was expected, and nothing of a faulty request is applied.
 */

import { MeshError } from "../base/errors.ts";
import {
  type FaultField,
  type GpuFaults,
  type GpuIncident,
  INCIDENTS,
  LASTING,
  numberFrom,
  oneOf,
} from "./gpu-faults.ts";

/** How the driver of the GPUs is; see health/source-state.ts. */
export const DRIVER_STATES = ["ok", "unresponsive", "broken", "lost", "absent", "denied"] as const;
export type DriverState = (typeof DRIVER_STATES)[number];

export interface Faults {
  /** Every step takes this many times as long; 1 is normal. */
  readonly slow: number;
  /** Requests are taken and nothing more is answered; what runs, freezes. */
  readonly stall: boolean;
  /** Share of inference requests that are answered with status 500. */
  readonly errorRate: number;
  /** Air around the GPUs in degrees Celsius; 65 and more makes busy ones throttle. */
  readonly ambient: number;
  readonly driver: DriverState;
  /** By index, of those that have any. */
  readonly gpus: Readonly<Record<string, GpuFaults>>;
}

export const NO_FAULTS: Faults = { slow: 1, stall: false, errorRate: 0, ambient: 30, driver: "ok", gpus: {} };

export interface FaultChange {
  readonly faults: Faults;
  /** The node shall die at once. */
  readonly crash: boolean;
  readonly incidents: readonly GpuIncident[];
}

/** The machine that is to show them. */
export interface FaultMachine {
  readonly gpus: number;
  /** Its driver reports XIDs: NVIDIA's. */
  readonly hasXids: boolean;
}

const FLAG: FaultField = {
  expected: "true or false",
  read: (value) => (typeof value === "boolean" ? value : undefined),
};

const NODE: Readonly<Record<string, FaultField>> = {
  slow: numberFrom(0.01, 10_000),
  stall: FLAG,
  errorRate: numberFrom(0, 1),
  ambient: numberFrom(-40, 120),
  driver: oneOf(DRIVER_STATES),
};

/** What a request wants, as far as it was read. */
interface Wish {
  readonly node: Record<string, unknown>;
  readonly lasting: Record<string, unknown>;
  readonly incident: Record<string, unknown>;
  crash: boolean;
  gpu: number | undefined;
}

/** What `current` becomes by the JSON value of an admin request; keys that are not named stay as they are. */
export function changeFaults(
  current: Faults,
  json: unknown,
  machine: FaultMachine,
): FaultChange | { readonly error: MeshError } {
  if (typeof json !== "object" || json === null || Array.isArray(json)) {
    return bad("faults", `expected an object such as {"slow": 3}, got ${show(json)}`);
  }
  const wish: Wish = { node: {}, lasting: {}, incident: {}, crash: false, gpu: undefined };
  for (const [key, value] of Object.entries(json)) {
    const fault = take(wish, key, value, machine);
    if (fault !== undefined) return bad(key, fault);
  }
  const { node, lasting, incident, crash, gpu } = wish;
  const happens = Object.keys(incident).length > 0;
  if (gpu !== undefined && !happens && Object.keys(lasting).length === 0) {
    return bad("gpu", 'gpu: says which GPU a fault beside it is of, as in {"gpu": 0, "xid": 79}; there is none');
  }
  const of = gpu === undefined ? Array.from({ length: machine.gpus }, (_, index) => index) : [gpu];
  return {
    faults: { ...current, ...node, gpus: changed(current.gpus, lasting, of) },
    crash,
    incidents: happens ? of.map((index) => ({ gpu: index, ...incident })) : [],
  };
}

/** Takes one field; answers what is wrong with it. */
function take(wish: Wish, key: string, value: unknown, { gpus, hasXids }: FaultMachine): string | undefined {
  const right = (field: FaultField, store: (read: unknown) => void): string | undefined => {
    const read = field.read(value);
    if (read === undefined) return `${key}: expected ${field.expected}, got ${show(value)}`;
    store(read);
    return undefined;
  };
  const own = (fields: Readonly<Record<string, FaultField>>): FaultField | undefined =>
    Object.hasOwn(fields, key) ? fields[key] : undefined;
  if (key === "crash") return right(FLAG, (read) => (wish.crash = read as boolean));
  if (key === "gpu") return right(indexBelow(gpus), (read) => (wish.gpu = read as number));
  const node = own(NODE);
  if (node !== undefined) return right(node, (read) => (wish.node[key] = read));
  const lasting = own(LASTING);
  if (lasting !== undefined) return right(orNull(lasting), (read) => (wish.lasting[key] = read));
  const incident = own(INCIDENTS);
  if (incident === undefined) return `unknown fault ${show(key)}: known are ${KNOWN.join(", ")}`;
  if (key === "xid" && !hasXids) return "xid: these GPUs are none of NVIDIA's and report no XIDs";
  return right(incident, (read) => (wish.incident[key] = read));
}

const KNOWN = [...Object.keys(NODE), "crash", "gpu", ...Object.keys(LASTING), ...Object.keys(INCIDENTS)];

function indexBelow(gpus: number): FaultField {
  return {
    expected: `the index of one of ${gpus} GPUs, 0 to ${gpus - 1}`,
    read: (value) =>
      Number.isInteger(value) && (value as number) >= 0 && (value as number) < gpus ? value : undefined,
  };
}

function orNull(field: FaultField): FaultField {
  return {
    expected: `${field.expected}, or null to end it`,
    read: (value) => (value === null ? null : field.read(value)),
  };
}

function changed(
  current: Faults["gpus"],
  lasting: Readonly<Record<string, unknown>>,
  of: readonly number[],
): Faults["gpus"] {
  const next: Record<string, GpuFaults> = { ...current };
  for (const index of of) {
    const fields = Object.entries({ ...next[index], ...lasting }).filter(([, value]) => value !== null);
    if (fields.length === 0) delete next[index];
    else next[index] = Object.fromEntries(fields);
  }
  return next;
}

function bad(param: string, message: string): { readonly error: MeshError } {
  return { error: new MeshError("bad_request", message, { param }) };
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? String(value);
  return text.length > 64 ? `${text.slice(0, 61)}...` : text;
}
