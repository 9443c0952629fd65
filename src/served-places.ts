/**
 * Where an agent's runtimes take requests, as routers are told: in the membership's metadata, in registrations, and in the
 * node's sample. A node whose runtimes have one endpoint together, in plain HTTP, is told of as nodes always were.
 */
import { registrableModels } from "./fleet/registration.ts";
import type { AnnouncedPlace } from "./mesh/announcer.ts";
import { isLoopback, isWildcard } from "./net/ip.ts";
import { listensAt } from "./process.ts";
import { isServing } from "./runtimes/state.ts";
import type { NodeRuntime } from "./score/sample.ts";
import type { MetaEndpoint } from "./swim/meta-endpoints.ts";
import type { NodeMeta } from "./swim/meta.ts";
import type { Runtime, RuntimeEndpoint } from "./telemetry/runtime.ts";
import type { RuntimeSample } from "./telemetry/sampler.ts";

/** An endpoint of a runtime, by its name on the node. */
export interface ServedPlace extends MetaEndpoint {
  readonly runtime: string;
  /** The runtime's, where it has one endpoint only, else RUNTIME-ENDPOINT. */
  readonly name: string;
  /** Where it listens. */
  readonly host: string;
  /** Those that routers take: a node with more than they take would be refused as a whole. */
  readonly models: readonly string[];
}

/** Another way to an endpoint that routers can't reach by its own; undefined for one that they can. */
export type WayTo = (endpoint: RuntimeEndpoint) => Pick<RuntimeEndpoint, "host" | "port"> | undefined;

const AS_IT_IS: WayTo = () => undefined;

/** Those that routers may be told of: a unix socket is of this machine alone. */
export function placesOf(runtimes: readonly Runtime[], wayTo = AS_IT_IS): ServedPlace[] {
  return runtimes.flatMap(({ name, endpoints, status, models }) =>
    endpoints
      .map((endpoint) => ({
        runtime: name,
        ...endpoint,
        ...wayTo(endpoint),
        name: endpoints.length === 1 ? name : `${name}-${endpoint.name}`,
        ready: isServing(status.state),
        models: registrable(models),
      }))
      .filter(({ host }) => !host.startsWith("/")),
  );
}

/** A runtime that serves what it did has the same list as before. */
const known = new WeakMap<readonly string[], readonly string[]>();

function registrable(models: readonly string[]): readonly string[] {
  const before = known.get(models);
  if (before !== undefined) return before;
  const made = registrableModels(models);
  known.set(models, made);
  return made;
}

/** What the membership is told; `advertise` is the host by which routers reach this machine, "" for where each listens. */
export function servedMeta(
  places: readonly ServedPlace[],
  advertise: string,
): Pick<NodeMeta, "servingAddress" | "models" | "endpoints"> {
  const first = places.find((place) => isPlain(place) && place.ready) ?? places.find(isPlain);
  const servingHost = first === undefined ? "" : reachedAt(first.host, advertise);
  const servingAddress = first === undefined ? "" : listensAt(servingHost, first.port);
  const models = [...new Set(places.flatMap((place) => place.models))];
  if (places.length === 1 && first !== undefined) return { servingAddress, models, endpoints: [] };
  const endpoints = places.map(({ name, host, port, protocol, tls, ready, models: served }) => {
    const reached = reachedAt(host, advertise);
    const isTold = reached === servingHost || (servingHost === "" && isWildcard(reached));
    return { name, host: isTold ? "" : reached, port, protocol, tls, ready, models: served };
  });
  return { servingAddress, models, endpoints };
}

function isPlain({ protocol, tls }: ServedPlace): boolean {
  return protocol === "http" && !tls;
}

/** What listens on this machine is reached by its advertised host, what is elsewhere by its own. */
function reachedAt(host: string, advertise: string): string {
  return advertise !== "" && (isWildcard(host) || isLoopback(host)) ? advertise : host;
}

/** What a router is told by registration: a place each. */
export function announcedPlaces(
  node: string,
  places: readonly ServedPlace[],
  advertise: string,
): Omit<AnnouncedPlace, "metricsPort">[] {
  return places.map(({ name, host, port, protocol, tls, ready, models }) => ({
    ...(places.length === 1 ? { id: node } : { id: `${node}/${name}`, node, endpoint: name }),
    protocol,
    tls,
    models,
    host: reachedAt(host, advertise),
    port,
    ready,
  }));
}

/** What all runtimes together say: the node's part of its sample. */
export function sampleOf(runtimes: readonly Runtime[], places: readonly ServedPlace[]): RuntimeSample {
  const samples = runtimes.map((runtime) => ({ runtime, sample: runtime.sample() }));
  const isOne = samples.length === 1;
  const sum = (figure: (sample: RuntimeSample) => number): number =>
    samples.reduce((total, { sample }) => total + figure(sample), 0);
  return {
    ready: samples.some(({ sample }) => sample.ready),
    draining: samples.length > 0 && samples.every(({ sample }) => sample.draining),
    runtimes: samples.map(({ runtime, sample }) => nodeRuntime(runtime, sample, places)),
    models: samples.flatMap(({ runtime, sample }) =>
      isOne ? sample.models : sample.models.map((model) => ({ ...model, runtime: runtime.name })),
    ),
    requestsInProgress: sum(({ requestsInProgress }) => requestsInProgress),
    failedResponses: sum(({ failedResponses }) => failedResponses),
  };
}

function nodeRuntime(
  { name, kind, version, status }: Runtime,
  { ready, draining }: RuntimeSample,
  places: readonly ServedPlace[],
): NodeRuntime {
  return {
    name,
    kind,
    version,
    ready,
    draining,
    state: status.state,
    message: status.message,
    // The same at each look: the time of day may be set meanwhile, this may not.
    sinceMs: Math.round(performance.timeOrigin + status.sinceMs),
    endpoints: places
      .filter(({ runtime }) => runtime === name)
      .map((place) => ({ name: place.name, host: "", port: place.port, protocol: place.protocol, tls: place.tls })),
  };
}
