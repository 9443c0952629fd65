/**
 * The router: main thread. It keeps the fleet (who may be sent to), polls it, writes the score table, serves the
 * control API, and looks after the workers, which relay. Wiring only.
 */
import { newApp } from "./admin/app.ts";
import { serveApi } from "./admin/front.ts";
import type { Front } from "./admin/front.ts";
import { registrationRoutes, routerApi } from "./admin/router-api.ts";
import type { RouterHealth } from "./admin/router-api.ts";
import { MeshError } from "./base/errors.ts";
import { Prng } from "./base/prng.ts";
import { writeSection } from "./base/settings-reading.ts";
import type { Address } from "./base/units.ts";
import { version } from "./base/version.ts";
import { hostId, routerSettings } from "./config.ts";
import type { RouterConfig } from "./config.ts";
import { Fleet } from "./fleet/fleet.ts";
import type { Registration } from "./fleet/registration.ts";
import { isRoutable } from "./fleet/target.ts";
import type { Membership } from "./mesh/membership.ts";
import { joinMesh, memberViews, portOf, reachedBy } from "./mesh/node-membership.ts";
import { Poller } from "./mesh/poller.ts";
import { createLog } from "./obs/log.ts";
import { routerMetrics } from "./obs/metrics.ts";
import { WorkerStats } from "./obs/worker-stats.ts";
import { Crew } from "./proxy/crew.ts";
import { Placement } from "./proxy/placement.ts";
import type { RouteSnapshot } from "./proxy/protocol.ts";
import { ScoreTable } from "./score/table.ts";
import type { SwimEvent } from "./swim/event.ts";
import { decodeMeta } from "./swim/meta.ts";
import { listensAt, untilStopped } from "./process.ts";

/** Rows are written anew this often, since samples age; and lost claims are looked for. */
const UPKEEP_MS = 500;
/** Between changes of the fleet and new routes: many nodes that join at once make one snapshot. */
const SYNC_DELAY_MS = 5;
const ADMIN_STOP_MS = 1000;
/** For telling the mesh that this router leaves. */
const LEAVE_MS = 1000;

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
  const placement = new Placement(table, stats, config.score);
  const fleet = new Fleet(config.fleet, new Prng(crypto.getRandomValues(new Uint32Array(1))[0] ?? 1));
  const poller = new Poller({ timeoutMs: config.fleet.pollTimeoutMs });
  let crew: Crew | null = null;
  let membership: Membership | null = null;
  let draining = false;
  const changedIds = new Set<string>();
  let wakeTimer: ReturnType<typeof setTimeout> | undefined;
  let syncTimer: ReturnType<typeof setTimeout> | undefined;

  // ---- the fleet's loop: input -> step -> polls, events and routes out

  const step = (): void => {
    fleet.wake(nowMs());
    const output = fleet.take();
    for (const { kind, id, cause } of output.events) {
      const loud = kind === "unhealthy" || kind === "removed" || kind === "refused";
      log[loud ? "warn" : "info"](`target ${kind}`, { target: id, cause });
    }
    for (const poll of output.polls) {
      const target = fleet.target(poll.id);
      const mark = target === undefined ? new Map<string, never>() : placement.mark(target);
      void poller.poll(poll).then((result) => {
        // The mesh measures the way by small probes; a poll's round trip holds the making of its answer too.
        const rttMs = membership?.member(poll.id)?.rttMs;
        fleet.polled(poll.id, result.ok && rttMs !== undefined ? { ...result, rttMs } : result, nowMs());
        const polled = fleet.target(poll.id);
        if (result.ok && polled !== undefined) placement.sampled(polled, mark, nowMs());
        step();
      });
    }
    for (const id of output.changedIds) changedIds.add(id);
    if (output.changed) syncTimer ??= setTimeout(sync, SYNC_DELAY_MS);
    clearTimeout(wakeTimer);
    if (draining || output.wakeAtMs === Number.POSITIVE_INFINITY) return;
    wakeTimer = setTimeout(step, Math.max(1, output.wakeAtMs - nowMs()));
  };

  const place = (): RouteSnapshot | null => {
    const ids = [...changedIds];
    changedIds.clear();
    return placement.sync(ids, (id) => fleet.target(id), nowMs(), Math.floor(Date.now() / 1000));
  };

  const sync = (): void => {
    syncTimer = undefined;
    const routes = place();
    if (placement.homeless > 0) {
      log.warn("the score table is full", {
        without: placement.homeless,
        hint: "raise table.targetsMax or table.modelsMax",
      });
    }
    if (routes !== null) crew?.setRoutes(routes);
  };

  /** What the mesh says of an agent becomes a target; its vitals are polled like anyone's. */
  const told = ({ id, kind, cause }: SwimEvent): void => {
    if (kind === "failed" || kind === "left") {
      fleet.deregister(id, nowMs(), "gossip", `${kind} by gossip: ${cause}`);
    } else if (kind === "joined" || kind === "updated" || kind === "alive-again") {
      const member = membership?.member(id);
      const meta = member === undefined ? undefined : decodeMeta(member.meta);
      if (member === undefined || meta?.role !== "agent" || meta.servingAddress === "") return;
      const { incarnation } = member;
      const reached = { address: reachedBy(meta.servingAddress, member.address), metricsPort: portOf(meta.apiAddress) };
      fleet.register(
        { id, ...reached, models: meta.models, zone: meta.zone, labels: meta.labels, incarnation },
        nowMs(),
        "gossip",
      );
    }
    step();
  };

  const register = (registration: Registration): ReturnType<Fleet["register"]> => {
    const result = fleet.register(registration, nowMs());
    step();
    return result;
  };
  const deregister = (id: string): boolean => {
    const known = fleet.deregister(id, nowMs());
    step();
    return known;
  };

  fleet.setStatic(config.upstreams, nowMs());
  for (const { id } of fleet.targets()) changedIds.add(id);
  place();

  // ---- the data plane

  const onError = (error: unknown, request: string): void =>
    log.error("request to the admin API failed", { request, error: String(error) });
  const relayed = newApp(onError);
  registrationRoutes(relayed, { register, deregister });
  const stopped = untilStopped();
  const starting = Crew.start(
    {
      entry: new URL("./proxy/worker.ts", import.meta.url),
      listen: config.listen,
      workers: config.workers,
      maxBodyBytes: config.maxBodyBytes,
      allowRegister: config.allowRegister,
      proxy: config.proxy,
      table,
      stats,
      async control(path, body) {
        const headers = { "content-type": "application/json" };
        const response = await relayed.fetch(new Request(`http://localhost${path}`, { method: "POST", body, headers }));
        return { status: response.status, body: await response.text() };
      },
      routed: (routesVersion) => placement.routed(routesVersion, fleet.targets(), nowMs()),
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
  const node = await joinMesh({
    id: `router-${hostId()}-${crew.port}`,
    identity: 0,
    incarnation: Math.floor(Date.now() / 1000),
    gossip: config.gossip,
    advertise: "",
    join: config.join,
    joinFile: config.joinFile,
    mesh: config.mesh,
    swim: config.swim,
    meta: {
      role: "router",
      zone: "",
      labels: {},
      apiAddress: "",
      servingAddress: "",
      models: [],
      healthy: true,
      draining: false,
    },
    log,
    onEvent: told,
  });
  ({ membership } = node);
  for (const member of membership.members().filter(({ status }) => status === "alive" || status === "suspect"))
    told({ ...member, kind: "joined", cause: "known at the start" });

  // ---- the control plane

  const metrics = routerMetrics({
    stats,
    table,
    placement,
    crew,
    startedMs,
    targets: () => fleet.targets(),
    mesh: () => membership?.figures(),
  });
  const apiOptions = {
    nowMs,
    targets: () => fleet.targets(),
    target: (id: string) => fleet.target(id),
    load(id: string) {
      const target = fleet.target(id);
      const { requests, tokens } = target === undefined ? { requests: 0, tokens: 0 } : placement.load(target);
      return { inFlight: requests, inFlightTokens: tokens };
    },
    register,
    deregister,
    stats: () => ({ ...metrics.stats() }),
    health(): RouterHealth {
      if (draining) return { status: "draining", reason: "stopping" };
      const routable = fleet.targets().some(isRoutable);
      return routable ? { status: "ok" } : { status: "degraded", reason: "no target is routable" };
    },
    members: () => (membership === null ? [] : memberViews(membership, nowMs())),
    metricsText: () => metrics.text(),
    config: () => writeSection(routerSettings, config),
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

  const upkeep = setInterval(() => {
    placement.refresh(fleet.targets(), nowMs());
    const routes = placement.expireModels(nowMs());
    if (routes !== null) crew?.setRoutes(routes);
    const repaired = table.reconcile();
    if (repaired > 0) log.warn("in-flight counts were repaired", { rows: repaired });
  }, UPKEEP_MS);
  // For operators and tests: the first worker fails as by a bug, and is replaced.
  process.on("SIGUSR2", () => crew?.crash(0));
  step();

  log.info("ready", {
    role: "router",
    listen: listensAt(config.listen.host, crew.port),
    api: listensAt(api.hostname, api.port),
    metrics: listensAt(vitals.hostname, vitals.port),
    gossip: membership.address,
    workers: config.workers,
    scorer: crew.scorer.kind,
    ...(crew.scorer.kind === "c" ? {} : { reason: crew.scorer.reason }),
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
  void node.leave(LEAVE_MS);
  const clean = await crew.drain(failure === null ? config.drainTimeoutMs : 0);
  if (!clean && failure === null) log.warn("requests were still in flight at the end of the drain timeout");
  clearInterval(upkeep);
  clearTimeout(wakeTimer);
  clearTimeout(syncTimer);
  poller.stop();
  await Promise.all([api.stop(ADMIN_STOP_MS), vitals.stop(ADMIN_STOP_MS)]);
  log.info("stopped");
  process.exit(failure === null ? 0 : 1);
}
