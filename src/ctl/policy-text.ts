/** Policies as the control plane's JSON has them, as files have them, and as people read them. */
import { isRecord } from "../base/field.ts";
import { KINDS } from "../policy/spec.ts";
import { localTime } from "./events.ts";
import { type JsonRecord, recordOf } from "./client.ts";
import { wholeOf } from "./control-plane.ts";
import { type Column, textColumn, wordOf } from "./render.ts";

/** A policy. */
export interface PolicyRow {
  readonly kind: string;
  readonly name: string;
  readonly spec: JsonRecord;
  readonly revision?: number;
  readonly createdRevision?: number;
  readonly updatedAtMs?: number;
}

/** proto3's JSON leaves out zeros; where zero decides something, files and people shall see it. */
const ZEROS: Readonly<Record<string, JsonRecord>> = {
  priority: { priority: 0 },
  scaling: { minReplicas: 0, maxReplicas: 0 },
};

/** A policy out of the control plane's JSON, where the spec is under its kind. */
export function policyOf(message: JsonRecord): PolicyRow {
  const kind = typeof message["kind"] === "string" && message["kind"] !== "" ? message["kind"] : kindIn(message);
  const given = recordOf(message[kind]) ?? {};
  const decided = Object.entries(given).filter(([, value]) => !isEmpty(value));
  const [revision, createdRevision, updatedAtMs] = ["revision", "createdRevision", "updatedAtMs"].map((key) =>
    wholeOf(message[key]),
  );
  return {
    kind,
    name: wordOf(message["name"] ?? ""),
    spec: { ...ZEROS[kind], ...Object.fromEntries(decided) },
    ...(revision === undefined ? {} : { revision }),
    ...(createdRevision === undefined ? {} : { createdRevision }),
    ...(updatedAtMs === undefined ? {} : { updatedAtMs }),
  };
}

function kindIn(message: JsonRecord): string {
  return KINDS.find((kind) => recordOf(message[kind]) !== undefined) ?? "";
}

/** Of what a field without a value is written as. */
function isEmpty(value: unknown): boolean {
  if (value === "" || value === null) return true;
  return typeof value === "object" && Object.keys(value).length === 0;
}

/** The control plane's message of a policy. */
export function messageOf({ kind, name, spec }: Pick<PolicyRow, "kind" | "name" | "spec">): JsonRecord {
  return { kind, name, [kind]: spec };
}

/** A spec on one line: `nodes=a,b minReplicas=2`. */
export function specWords(spec: JsonRecord): string {
  const words = Object.entries(spec).flatMap(([key, value]) => {
    if (!isRecord(value)) return [`${key}=${wordOf(value)}`];
    return [
      `${key}=${Object.entries(value)
        .map(([name, of]) => `${name}:${wordOf(of)}`)
        .join(",")}`,
    ];
  });
  return words.join(" ") || "-";
}

const REVISION: Column<PolicyRow> = {
  ...textColumn<PolicyRow>("REVISION", ({ revision }) => String(revision ?? "-")),
  right: true,
};

/** What every list of policies ends with. */
export const LAST_COLUMNS: readonly Column<PolicyRow>[] = [
  REVISION,
  {
    title: "CHANGED",
    cell: ({ updatedAtMs }) => (updatedAtMs === undefined ? "-" : localTime(new Date(updatedAtMs).toISOString())),
    raw: ({ updatedAtMs }) => (updatedAtMs === undefined ? "-" : new Date(updatedAtMs).toISOString()),
    wide: true,
  },
  {
    ...textColumn<PolicyRow>("CREATED AT", ({ createdRevision }) => String(createdRevision ?? "-")),
    right: true,
    wide: true,
  },
];

export const POLICY_COLUMNS: readonly Column<PolicyRow>[] = [
  textColumn("KIND", ({ kind }) => kind),
  textColumn("NAME", ({ name }) => name),
  textColumn("SPEC", ({ spec }) => specWords(spec)),
  ...LAST_COLUMNS,
];

/** A field of the spec as a column. */
export function specColumn(title: string, field: string, more: Partial<Column<PolicyRow>> = {}): Column<PolicyRow> {
  const shown = ({ spec }: PolicyRow): string => {
    const value = spec[field];
    if (value === undefined) return "-";
    return isRecord(value)
      ? Object.entries(value)
          .map(([name, of]) => `${name}=${wordOf(of)}`)
          .join(",")
      : wordOf(value);
  };
  return { title, cell: shown, raw: shown, ...more };
}
