/** The adapters of all kinds of runtimes, and what the agent must know of a kind before it asks. */
import { assert } from "../base/assert.ts";
import { openFollower } from "../native-pages.ts";
import type { Adapter } from "../runtimes/adapter.ts";
import type { RuntimeKind } from "../runtimes/reading.ts";
import { TableAdapter } from "../runtimes/table-adapter.ts";
import type { AdapterTable } from "../runtimes/table.ts";
import { TABLES } from "../runtimes/tables.ts";
import { tfserving } from "../runtimes/tfserving.ts";

export interface KindOfRuntime {
  readonly table: AdapterTable;
  readonly adapter: Adapter;
}

/** `map`: the table of a generic one. `models`: of one that does not list them. */
export function kindOfRuntime(
  kind: Exclude<RuntimeKind, "mock">,
  map?: AdapterTable,
  models: readonly string[] = [],
): KindOfRuntime {
  const known = kind === "tfserving" ? tfserving(models) : undefined;
  const table = kind === "generic" ? map : (known ?? TABLES[kind]);
  assert(table !== undefined, `a runtime of the kind ${kind} needs a table`);
  return { table, adapter: new TableAdapter(table, openFollower().follow) };
}
