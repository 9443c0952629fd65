/**
 * Asking a target for its load: a field that one request now and then has more than its client gave it
 * (`loadReports` and `loadReportEveryMs` of settings.ts). Servers gather their metrics for the answer, so not every
 * request asks, whoever of the workers sends it.
 */
import { fieldValues } from "../wire/field-search.ts";
import { LOAD_WISH_FIELD } from "../wire/load-fields.ts";
import { unixMs } from "./clock.ts";
import type { WorkerContext } from "./context.ts";
import type { Target } from "./routes.ts";

/** The format that is read at least cost; Triton takes it in small letters alone. */
const LINE = Buffer.from(`${LOAD_WISH_FIELD}: text\r\n`);
const LAST_LINE_BYTES = 2;
const DECISECOND_MS = 100;

/**
 * Bytes [0, end) of a request of HTTP/1.1 whose head ends at `bodyAt`, as they go to the row's target: with the field, or,
 * most often, null: as they are.
 */
export function askForLoad(
  { config, table }: Pick<WorkerContext, "config" | "table">,
  target: Target | null,
  row: number,
  bytes: Buffer,
  bodyAt: number,
  end: number,
): Buffer | null {
  const { loadReports, loadReportEveryMs } = config;
  if (target === null || (loadReports !== "ask-all" && (loadReports !== "ask" || !target.tellsLoad))) return null;
  const every = Math.ceil(loadReportEveryMs / DECISECOND_MS);
  if (!table.tryAsk(row, table.nowDeciseconds(unixMs()), every)) return null;
  // A client may want it for itself.
  if (fieldValues(bytes, bodyAt, LOAD_WISH_FIELD).length > 0) return null;
  const lineAt = bodyAt - LAST_LINE_BYTES;
  return Buffer.concat([bytes.subarray(0, lineAt), LINE, bytes.subarray(lineAt, end)]);
}
