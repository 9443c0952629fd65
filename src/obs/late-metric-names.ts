/** Every metric of binding late, and of rates that are learnt, of routers. docs/metrics.md lists the same. */
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
  deskRouters: metric(
    "gauge",
    "infermesh_router_desk_routers",
    [],
    "",
    "Other routers with which this one lets one of them decide for a model.",
  ),
  deskRequests: metric(
    "gauge",
    "infermesh_router_desk_requests",
    ["whose"],
    "",
    "Requests about which one router has asked another: own (of this router, that wait elsewhere), others (that wait here, or were bound here and have no first token yet).",
  ),
  deskBound: metric(
    "counter",
    "infermesh_router_desk_bound_total",
    ["where"],
    "",
    "Requests that were bound by one router's word for another: there (of this router, by others), here (of others, by this one).",
  ),
  deskTroubles: metric(
    "counter",
    "infermesh_router_desk_troubles_total",
    ["what"],
    "",
    "Why a router decided for itself: silent (the one that decides gave no sign for `flow.late.silence`), declined (it would not: it thinks that another decides, knows other targets for the model, or holds as much as it may), malformed (packets that could not be read, or are of another version).",
  ),
} as const;

export const RATE_METRICS = {
  prefill: metric(
    "gauge",
    "infermesh_router_prefill_seconds_per_token",
    ["target", "model", "what"],
    "seconds",
    "What a prompt token takes: used (what is reckoned with), told (by the target or the settings), learnt (from first tokens of this router's requests alone).",
  ),
  confidence: metric(
    "gauge",
    "infermesh_router_learnt_rate_confidence",
    ["target", "model"],
    "",
    "How much what was learnt of the target counts, 0 to 1.",
  ),
  samples: metric(
    "gauge",
    "infermesh_router_learnt_rate_requests",
    ["target", "model"],
    "",
    "Requests from which it was learnt, of which older ones count less.",
  ),
  step: metric(
    "gauge",
    "infermesh_router_step_seconds",
    ["target", "model", "what"],
    "seconds",
    "Between two tokens of an answer, as streams tell: base (of a batch of none), request (what each adds).",
  ),
  notes: metric(
    "counter",
    "infermesh_router_first_token_notes_total",
    ["result"],
    "",
    "First tokens and ends of streams that workers noted for rates to be learnt from: taken, lost (there was no room).",
  ),
} as const;
