/**
 * The router: main thread. It keeps its targets (targets.ts), hears their states, serves the control API, and looks after
 * the workers, which relay. Wiring only.
 */
import { newApp } from "./admin/app.ts";
import { serveApi } from "./admin/front.ts";
import type { Front } from "./admin/front.ts";
import { registrationRoutes, routerApi } from "./admin/router-api.ts";
import type { RouterHealth } from "./admin/router-api.ts";
import { MeshError } from "./base/errors.ts";
import { writeSection } from "./base/settings-reading.ts";
import type { Address } from "./base/units.ts";
import { version } from "./base/version.ts";
import { hostId, routerSettings } from "./config.ts";
import type { RouterConfig } from "./config.ts";
import type { Registration } from "./fleet/registration.ts";
import { isRoutable } from "./fleet/target.ts";
import { Journal } from "./mesh/journal.ts";
import { nodeIdentity } from "./mesh/identity.ts";
import { meshView } from "./mesh/mesh-view.ts";
import { joined, joinMesh, type MeshNode } from "./mesh/node-membership.ts";
import { StateReceiver } from "./mesh/state-receiver.ts";
import { createLog } from "./obs/log.ts";
import { routerMetrics } from "./obs/metrics.ts";
import { SpanExporter } from "./obs/span-exporter.ts";
import { WorkerStats } from "./obs/worker-stats.ts";
import { Crew } from "./proxy/crew.ts";
import { Placement } from "./proxy/placement.ts";
import { Warmth } from "./proxy/warmth.ts";
import { ScoreTable } from "./score/table.ts";
import { PeerFlights } from "./signal/flights.ts";
import { listensAt, untilStopped } from "./process.ts";
import { bareMeta } from "./swim/meta.ts";
import { Targets } from "./targets.ts";

/** Rows are written anew this often, since samples age; and lost claims are looked for. */
const UPKEEP_MS = 500;
const ADMIN_STOP_MS = 1000;
/** For telling the mesh that this router leaves. */
const LEAVE_MS = 1000;
/** For the last spans on their way to the collector. */
const SPANS_STOP_MS = 3000;

export async function runRouter(config: RouterConfig): Promise<void> {
  const log = createLog(config.log);
  const startedMs = performance.now();
  const nowMs = (): number => performance.now();
  const table = ScoreTable.create({ ...config.table, workersMax: config.workers });
  const stats = WorkerStats.create({
    workersMax: config.workers,
    modelsMax: config.table.modelsMax,
    targetsMax: config.table.targetsMax,
  });
  const flights = new PeerFlights();
  const warmth = new Warmth(table, config.flow.slowStart);
  const placement = new Placement(table, stats, config.score, (key) => flights.load(key), warmth);
  let crew: Crew | null = null;
  let node: MeshNode | null = null;
  let draining = false;
  const routerId = (port: number): string => (config.id === "" ? `router-${hostId()}-${port}` : config.id);
  const spans =
    config.tracing.endpoint === ""
      ? null
      : new SpanExporter({
          config: config.tracing,
          instance: () => routerId(crew?.port ?? config.listen.port),
          log,
        });
  const targets = new Targets({
    config,
    placement,
    log,
    node: () => node,
    onRoutes: (routes) => crew?.setRoutes(routes),
  });

  // ---- the data plane

  const onError = (error: unknown, request: string): void =>
    log.error("request to the admin API failed", { request, error: String(error) });
  const relayed = newApp(onError);
  const registry = {
    register: (registration: Registration) => targets.register(registration),
    deregister: (id: string) => targets.deregister(id),
  };
  registrationRoutes(relayed, registry);
  const stopped = untilStopped();
  const starting = Crew.start(
    {
      entry: new URL("./proxy/worker.ts", import.meta.url),
      listen: config.listen,
      workers: config.workers,
      maxBodyBytes: config.maxBodyBytes,
      allowRegister: config.allowRegister,
      proxy: config.proxy,
      flow: config.flow,
      paths: config.paths,
      table,
      stats,
      ...(spans === null ? {} : { tracing: { ...config.tracing, take: (packed) => spans.take(packed) } }),
      async control(path, body) {
        const headers = { "content-type": "application/json" };
        const response = await relayed.fetch(new Request(`http://localhost${path}`, { method: "POST", body, headers }));
        return { status: response.status, body: await response.text() };
      },
      routed: (routesVersion) => placement.routed(routesVersion, targets.all(), nowMs()),
      restarted: (index, message) => log.error("a worker died and was replaced", { worker: index, message }),
      failed: (error) => stopped.fail(error),
    },
    placement.snapshot(),
  );
  // Whoever asks for the end while the workers start need not wait for them.
  const first = await Promise.race([starting, stopped.promise]);
  if (typeof first === "string") process.exit(0);
  crew = first;
  // Whoever registered while the workers started is in the newest snapshot only.
  crew.setRoutes(placement.snapshot());
  const journal = new Journal(Date.now());
  let states: StateReceiver | null = null;

  // ---- the control plane

  const metrics = routerMetrics({
    stats,
    table,
    placement,
    crew,
    startedMs,
    targets: () => targets.all(),
    mesh: () => node?.membership.figures(),
    signal: () => states?.stats(),
    tracing: () => spans?.figures(),
  });
  const apiOptions = {
    nowMs,
    targets: () => targets.all(),
    target: (id: string) => targets.get(id),
    load(id: string) {
      const target = targets.get(id);
      if (target === undefined) return { inFlight: 0, inFlightTokens: 0, othersInFlight: 0 };
      const { requests, tokens } = placement.load(target);
      return { inFlight: requests, inFlightTokens: tokens, othersInFlight: placement.othersLoad(target).requests };
    },
    ...registry,
    stats: () => ({ ...metrics.stats() }),
    health(): RouterHealth {
      if (draining) return { status: "draining", reason: "stopping" };
      const routable = targets.all().some(isRoutable);
      return routable ? { status: "ok" } : { status: "degraded", reason: "no target is routable" };
    },
    ...meshView(() => node?.membership ?? null, journal),
    leave: () => stopped.ask("POST /leave"),
    metricsText: () => metrics.text(),
    config: () => writeSection(routerSettings, config),
    keyring: () => joined(node).keys,
    onError,
  };
  const onNotice = (message: string, remote: string): void => log.debug("admin client refused", { message, remote });
  const serve = ({ host, port }: Address, readOnly: boolean): Front =>
    serveApi({
      hostname: host,
      port,
      app: routerApi({ ...apiOptions, readOnly }),
      limits: config.admin,
      onError,
      onNotice,
    });
  const api = serve(config.api, false);
  // The metrics port is open to the network: nothing can be changed there.
  const vitals = serve(config.metrics, true);

  // ---- the mesh

  const id = routerId(crew.port);
  node = await joinMesh({
    id,
    // Any free port is another node each time, with nothing to keep.
    identity: config.id === "" && config.listen.port === 0 ? 0 : nodeIdentity(config.dataDir, id),
    incarnation: Math.floor(Date.now() / 1000),
    gossip: config.gossip,
    advertise: config.advertise,
    join: config.join,
    joinFile: config.joinFile,
    mesh: config.mesh,
    swim: config.swim,
    meta: bareMeta("router"),
    journal,
    log,
    onEvent: (event) => targets.told(event),
  });
  const { membership } = node;
  for (const member of membership.members().filter(({ status }) => status === "alive" || status === "suspect"))
    targets.told({ ...member, kind: "joined", cause: "known at the start" });
  states = new StateReceiver({
    node,
    config: config.signal,
    flights,
    loads: () => placement.loads(),
    onReport: (report) => targets.reported(report),
    onLoads: (keys) => targets.loadsChanged(keys),
  });
  states.start();

  const upkeep = setInterval(() => {
    placement.refresh(targets.all(), nowMs());
    const routes = placement.expireModels(nowMs());
    if (routes !== null) crew?.setRoutes(routes);
    const repaired = table.reconcile();
    if (repaired > 0) log.warn("in-flight counts were repaired", { rows: repaired });
  }, UPKEEP_MS);
  // For operators and tests: the first worker fails as by a bug, and is replaced.
  process.on("SIGUSR2", () => crew?.crash(0));
  targets.step();

  log.info("ready", {
    role: "router",
    listen: listensAt(config.listen.host, crew.port),
    api: listensAt(api.hostname, api.port),
    metrics: listensAt(vitals.hostname, vitals.port),
    gossip: membership.address,
    workers: config.workers,
    scorer: crew.scorer.kind,
    ...(crew.scorer.kind === "c" ? {} : { reason: crew.scorer.reason }),
    transport: crew.transport.kind,
    ...(crew.transport.kind === "epoll" ? {} : { transportReason: crew.transport.reason }),
    version,
    pid: process.pid,
  });

  // ---- the end

  let failure: MeshError | null = null;
  try {
    const signal = await stopped.promise;
    log.info("stopping", { signal, drainMs: config.drainTimeoutMs });
  } catch (error) {
    failure = error instanceof MeshError ? error : new MeshError("internal", String(error), { cause: error });
    log.error("the router can't go on", { error: failure.message });
  }
  draining = true;
  targets.drain();
  const clean = await crew.drain(failure === null ? config.drainTimeoutMs : 0);
  if (!clean && failure === null) log.warn("requests were still in flight at the end of the drain timeout");
  // Until its last request ends, the other routers must know of its load.
  states.stop();
  await Promise.all([node.leave(LEAVE_MS), spans?.stop(SPANS_STOP_MS)]);
  journal.end();
  clearInterval(upkeep);
  targets.stop();
  await Promise.all([api.stop(ADMIN_STOP_MS), vitals.stop(ADMIN_STOP_MS)]);
  log.info("stopped");
  process.exit(failure === null ? 0 : 1);
}
