/** Every metric of binding late, of routers. docs/metrics.md lists the same. */
import { defineMetric as metric } from "./exposition.ts";

export const LATE_METRICS = {
  waiting: metric("gauge", "infermesh_router_late_waiting", ["model"], "", "Requests that wait at the desk."),
  bound: metric(
    "counter",
    "infermesh_router_late_bound_total",
    ["how"],
    "",
    "Requests of models that are bound late: at-once (a target was open), late (by the desk), alone (the desk gave no sign for `flow.late.silence`), unreached (the worker had no way to where the desk bound it).",
  ),
  wait: metric(
    "histogram",
    "infermesh_router_late_wait_seconds",
    [],
    "seconds",
    "From a request's arrival until the desk had bound it, of those that were held.",
  ),
  messages: metric("counter", "infermesh_router_late_messages_total", [], "", "Messages of workers to the desk."),
  pace: metric(
    "gauge",
    "infermesh_router_late_prefill_seconds_per_token",
    ["target", "model"],
    "seconds",
    "What a prompt token costs at a target, as the desk thinks by first tokens; of models that something was held of.",
  ),
  busy: metric(
    "gauge",
    "infermesh_router_late_busy_seconds",
    ["target", "model"],
    "seconds",
    "Until a target has computed what it was given, as of the desk's last look.",
  ),
} as const;
