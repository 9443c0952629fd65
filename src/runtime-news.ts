/** What is told of an agent's runtimes: events for the journal, lines for the log, what /status and metrics show. */
import { REGISTRATION_LIMITS } from "./fleet/registration.ts";
import type { Tell } from "./news.ts";
import type { Log } from "./obs/log.ts";
import type { RuntimeFigures } from "./obs/runtime-metrics.ts";
import { isServing } from "./runtimes/state.ts";
import type { RuntimeState } from "./base/runtime-terms.ts";
import type { Runtime } from "./telemetry/runtime.ts";
import { formatRuntimeUrl } from "./telemetry/runtime-url.ts";
import type { RuntimeEvent } from "./telemetry/watched-runtime.ts";

/** States that nobody need do anything about. */
const CALM: readonly RuntimeState[] = ["connecting", "starting", "ready"];

/** Tells of one runtime. */
export function runtimeTeller(node: string, runtime: string, tell: Tell, log: Log): (event: RuntimeEvent) => void {
  return (event) => {
    const { kind, cause } = event;
    if (event.about === "model") {
      const { model } = event;
      tell({ type: `model.${kind}`, id: model, cause, labels: { node, runtime, model } });
      log[kind === "failed" ? "warn" : "info"](`model ${kind}`, { model, runtime, cause });
      return;
    }
    const state = event.kind;
    tell({ type: `runtime.${state}`, id: runtime, cause: cause || wordsOf(state), labels: { node, runtime } });
    log[CALM.includes(state) ? "info" : "warn"](`runtime ${runtime}: ${state}`, cause === "" ? {} : { cause });
  };
}

/** Says once, of each runtime, that it serves more than routers take of one endpoint. */
export function crowdTeller(runtime: Pick<Runtime, "name" | "models">, log: Pick<Log, "warn">): () => void {
  const { modelsMax } = REGISTRATION_LIMITS;
  let isTold = false;
  return () => {
    const { name, models } = runtime;
    if (isTold || models.length <= modelsMax) return;
    isTold = true;
    log.warn(`runtime ${name} serves ${models.length} models; routers are told of the first ${modelsMax}`, {
      first: models[0],
      left: models[modelsMax],
    });
  };
}

function wordsOf(state: RuntimeState): string {
  return isServing(state) ? "it serves" : "it does not serve";
}

/** As /status shows it: fit for everybody to see. */
export function runtimeStatus(runtime: Runtime): Record<string, unknown> {
  const { name, kind, version, status, endpoints, modelStates } = runtime;
  const agoMs = performance.now() - status.sinceMs;
  return {
    name,
    kind,
    version,
    state: status.state,
    message: status.message,
    since: new Date(Date.now() - agoMs).toISOString(),
    endpoints: endpoints.map((endpoint) => formatRuntimeUrl({ ...endpoint, base: "" })),
    models: modelStates.map(({ model, state, reason }) => ({ model, state, ...(reason === "" ? {} : { reason }) })),
  };
}

/** As metrics show it; of the mock its models' metrics say it all. */
export function runtimeFigures(runtimes: readonly Runtime[]): RuntimeFigures[] {
  return runtimes.flatMap((runtime): RuntimeFigures[] => {
    const { name, kind, version, status, reading, asks, modelStates } = runtime;
    if (reading === undefined) return [];
    const models = new Map<string, number>();
    for (const { state } of modelStates) models.set(state, (models.get(state) ?? 0) + 1);
    const { metricsSeconds: scrapeSeconds, metricsBytes: scrapeBytes, failures } = asks;
    const { state } = status;
    return [
      {
        ...reading.figures,
        name,
        kind,
        version,
        state,
        isServing: isServing(state),
        models,
        failures,
        scrapeSeconds,
        scrapeBytes,
      },
    ];
  });
}
