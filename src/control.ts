/**
 * The router's control plane: its --api and --metrics ports, and the registrations that come in on the data port. What
 * they are answered from is the router's other parts. Wiring only.
 */
import type { RouterConfig } from "./config.ts";
import type { Hono } from "hono";
import { apiServices } from "./admin/api.ts";
import { newApp } from "./admin/app.ts";
import type { ControlPlaneOptions } from "./admin/control-plane.ts";
import { type Front, serveApi } from "./admin/front.ts";
import type { Operations } from "./admin/operations-api.ts";
import type { PolicyAccess } from "./admin/policy-access.ts";
import type { Advice } from "./admin/recommendations.ts";
import { ScoringService } from "./admin/scoring-service.ts";
import {
  registrationRoutes,
  routerApi,
  type RouterApiOptions,
  type RouterHealth,
  type TargetLoad,
} from "./admin/router-api.ts";
import type { AdminConfig } from "./admin/settings.ts";
import { MeshError } from "./base/errors.ts";
import { type Address, formatAddress } from "./base/units.ts";
import type { Readiness } from "./fleet/readiness.ts";
import type { Registration } from "./fleet/registration.ts";
import { wholeOf } from "./fleet/part.ts";
import { isRoutable, onePerNode } from "./fleet/target.ts";
import { SCHEMA } from "./gen/services.js";
import type { ExplainRouteRequest, ForgetRatesRequest, Init, NodeState } from "./gen/services.js";
import { NodeState as NodeStateMessage } from "./gen/state.js";
import type { Journal } from "./mesh/journal.ts";
import { meshView } from "./mesh/mesh-view.ts";
import { joined } from "./mesh/node-membership.ts";
import { decodeNodeState, encodeNodeState } from "./mesh/node-state.ts";
import { gpuCalls } from "./gpu-calls.ts";
import { modelCalls } from "./model-calls.ts";
import type { Log } from "./obs/log.ts";
import type { PolicyViews } from "./policy/policy-views.ts";
import type { RouterMetrics } from "./obs/metrics.ts";
import { type Decision, DECISIONS_MAX } from "./proxy/decisions.ts";
import { Explainer, type Explanation } from "./proxy/explain.ts";
import { gatewayScorer } from "./proxy/gateway.ts";
import type { LateState } from "./proxy/late-state.ts";
import type { Placement } from "./proxy/placement.ts";
import type { RowLearning } from "./proxy/row-learning.ts";
import { defaultStrategy } from "./proxy/strategies.ts";
import type { ScoreTable } from "./score/table.ts";
import type { Standing } from "./standing.ts";
import type { Targets } from "./targets.ts";
import { ProtoTypes } from "./wire/proto-schema.ts";
import { encodeMessage } from "./wire/proto-writer.ts";

export interface ControlOptions {
  readonly targets: Targets;
  /** Its last worker is this thread, which counts what gateways have in flight. */
  readonly table: ScoreTable;
  readonly placement: Placement;
  readonly learning: RowLearning;
  readonly standing: Standing;
  readonly journal: Journal;
  readonly log: Log;
  /** The policies; null before this router has found them. */
  readonly policies: () => PolicyAccess | null;
  /** What follows from them here. */
  readonly obeyed: () => Advice & { readonly views: PolicyViews };
  /** How targets are chosen where no policy says so. */
  readonly choosing: () => Pick<RouterConfig, "proxy" | "flow">;
  /** The last choice for the request of this id that some worker remembers. */
  readonly decision: (requestId: string) => Promise<Decision | null>;
  /** The configuration in force, as a file would hold it. */
  readonly config: () => unknown;
  readonly limits: () => AdminConfig;
  readonly late: LateState;
  readonly isDraining: () => boolean;
  readonly readiness: Readiness;
  /** Begins an end in order. */
  readonly leave: () => void;
  readonly operations: Operations;
}

const STOP_MS = 1000;
const NODE_STATE = new ProtoTypes(SCHEMA).message("infermesh.state.v1.NodeState");

export class Control {
  readonly #options: ControlOptions;
  readonly #relayed: Hono;
  readonly #explainer: Explainer;
  readonly #scoring: ScoringService;
  readonly #fronts: Front[] = [];

  constructor(options: ControlOptions) {
    this.#options = options;
    const { table, placement, targets } = options;
    this.#explainer = new Explainer({
      kvTokensPerSecond: () => options.choosing().proxy.kvTokensPerSecond,
      table,
      placement,
      target: (id) => targets.get(id),
      targets: () => targets.all(),
      views: () => options.obeyed().views,
      rate: (row) => options.learning.of(row, Date.now()),
      late: options.late,
      within: () => {
        const { flow, proxy } = options.choosing();
        return { leftMs: flow.late.patienceMs, gapMs: proxy.tokenGapMs };
      },
      byDefault: () => defaultStrategy(options.choosing().proxy, options.choosing().flow.late.enabled),
    });
    this.#scoring = new ScoringService(gatewayScorer(this.#explainer, table, () => targets.all()));
    this.#relayed = newApp(this.#onError);
    registrationRoutes(this.#relayed, this.#registry());
  }

  /** Answers a registration that came in on the data port. */
  async relay(path: string, body: string): Promise<{ status: number; body: string }> {
    const headers = { "content-type": "application/json" };
    const request = new Request(`http://localhost${path}`, { method: "POST", body, headers });
    const response = await this.#relayed.fetch(request);
    return { status: response.status, body: await response.text() };
  }

  /** Opens a port, or goes on with a predecessor's; on a read-only one, which others can reach, nothing can be changed. */
  open(address: Address, fd: number | undefined, readOnly: boolean, metrics: RouterMetrics): Front {
    const services = apiServices({
      control: this.#controlPlane(),
      states: {
        states: () => onePerNode(this.#options.targets.all()).flatMap(({ node }) => this.#state(node) ?? []),
        reported: (state) => this.#reported(state),
      },
      scoring: this.#scoring,
      readOnly,
      isStopping: this.#options.isDraining,
      onError: this.#onError,
    });
    const front = serveApi({
      hostname: address.host,
      port: address.port,
      fd,
      app: routerApi({ ...this.#apiOptions(metrics), services, readOnly }),
      services,
      limits: this.#options.limits(),
      onError: this.#onError,
      onNotice: (message, remote) => this.#options.log.debug("admin client refused", { message, remote }),
    });
    this.#fronts.push(front);
    return front;
  }

  setLimits(limits: AdminConfig): void {
    for (const front of this.#fronts) front.setLimits(limits);
  }

  /** Resolves when answers under way are given, or soon. */
  async stop(): Promise<void> {
    this.#scoring.stop();
    await Promise.all(this.#fronts.splice(0).map((front) => front.stop(STOP_MS)));
  }

  #apiOptions(metrics: RouterMetrics): RouterApiOptions {
    const { targets, standing, journal, config, isDraining, readiness, leave, operations } = this.#options;
    const routable = (): number => targets.all().filter(isRoutable).length;
    return {
      nowMs: () => performance.now(),
      targets: () => targets.all(),
      target: (id) => targets.get(id),
      load: (id) => this.#load(id),
      blocks: (target) => standing.remoteIndexes.shown(target, performance.now()),
      ...this.#registry(),
      stats: () => ({ ...metrics.stats() }),
      health(): RouterHealth {
        if (isDraining()) return { status: "draining", reason: "stopping" };
        return routable() > 0 ? { status: "ok" } : { status: "degraded", reason: "no target is routable" };
      },
      notReady: () => (isDraining() ? "it is stopping" : readiness.whyNot(routable(), performance.now())),
      ...meshView(() => standing.node?.membership ?? null, journal),
      leave,
      metricsText: () => metrics.text(),
      config,
      keyring: () => joined(standing.node).keys,
      operations,
      onError: this.#onError,
    };
  }

  #controlPlane(): ControlPlaneOptions {
    const { targets, standing, journal } = this.#options;
    const view = meshView(() => standing.node?.membership ?? null, journal);
    return {
      members: () => view.details(),
      named: () => view.named(),
      fleet: { targets: () => targets.all(), load: (id) => this.#load(id), nowMs: () => performance.now() },
      state: (id) => this.#state(id),
      policies: this.#options.policies,
      controlAddress: (id) => view.member(id)?.controlAddress ?? "",
      events: journal,
      explain: (request) => this.#explain(request),
      forgetRates: (request) => this.#forgetRates(request),
      advice: this.#options.obeyed,
      models: modelCalls({ id: () => standing.id, node: () => standing.node, runtime: null }),
      gpus: gpuCalls({ id: () => standing.id, node: () => standing.node, targets: () => targets.all() }),
    };
  }

  async #explain({ model, promptTokens, requestId, tenant }: ExplainRouteRequest): Promise<Explanation> {
    if ((requestId === "") === (model === "")) {
      throw new MeshError("bad_request", "expected either a model or a requestId", { param: "model" });
    }
    if (requestId === "") {
      const explanation = this.#explainer.explain(model, { promptTokens, tenant });
      return { ...explanation, candidates: [...explanation.candidates, ...this.#explainer.others(model)] };
    }
    const decision = await this.#options.decision(requestId);
    if (decision !== null) return this.#explainer.past(decision);
    const shown = JSON.stringify(requestId.slice(0, 128));
    throw new MeshError(
      "not_found",
      `no choice for the request ${shown} is remembered: each worker keeps its last ${DECISIONS_MAX}, and requests that were refused or answered by the router itself have none`,
    );
  }

  /** Rows are written by what is told again at once. */
  #forgetRates({ node, model }: ForgetRatesRequest): number {
    const { targets, placement, learning, log } = this.#options;
    const isMeant = (target: string): boolean => node === "" || target === node || targets.get(target)?.node === node;
    const places = [...placement.places()].filter(
      (one) => isMeant(one.target) && (model === "" || one.model === model),
    );
    if (places.length === 0 && (node !== "" || model !== "")) {
      const what = [...(model === "" ? [] : [`model ${model}`]), ...(node === "" ? [] : [`node ${node}`])].join(" of ");
      throw new MeshError(
        "not_found",
        `this router sends nothing to ${what.slice(0, 512)}; ListNodes and ListModels tell whom it knows`,
      );
    }
    const forgotten = learning.forget(
      places.map(({ row }) => row),
      Date.now(),
    );
    placement.refresh(targets.all(), performance.now());
    log.info("learnt rates were forgotten", { node, model, targets: forgotten });
    return forgotten;
  }

  #load(id: string): TargetLoad {
    const { targets, placement } = this.#options;
    const target = targets.get(id);
    if (target === undefined) return { inFlight: 0, inFlightTokens: 0, othersInFlight: 0 };
    const { requests, tokens } = placement.load(target);
    return { inFlight: requests, inFlightTokens: tokens, othersInFlight: placement.othersLoad(target).requests };
  }

  /** A node's newest sample, as the node itself would tell it: its targets' parts together. */
  #state(node: string): object | undefined {
    const told = this.#options.targets.of(node).filter(({ lastSample }) => lastSample !== undefined);
    const sample = wholeOf(told.flatMap(({ lastSample }) => lastSample ?? []));
    const [first] = told;
    if (first === undefined || sample === undefined) return undefined;
    const { incarnation, zone, labels, host, port } = first;
    const sampledAtMs = Math.max(...told.map((target) => target.sampledAtMs ?? 0));
    const addresses = { serve: formatAddress({ host, port }), api: "", metrics: "", gossip: "" };
    const identity = { id: node, incarnation, role: "", zone, labels, addresses };
    return encodeNodeState(sample, identity, Date.now() - (performance.now() - sampledAtMs));
  }

  /** Adapters speak for targets that don't speak for themselves. */
  #reported(state: Init<NodeState>): void {
    const sample = decodeNodeState(NodeStateMessage.decode(encodeMessage(NODE_STATE, state)));
    this.#options.targets.adapted(state.id ?? "", sample);
  }

  #registry(): Pick<RouterApiOptions, "register" | "deregister"> {
    const { targets } = this.#options;
    return {
      register: (registration: Registration) => targets.register(registration),
      deregister: (id: string) => targets.deregister(id),
    };
  }

  readonly #onError = (error: unknown, request: string): void =>
    this.#options.log.error("request to the admin API failed", { request, error: String(error) });
}
