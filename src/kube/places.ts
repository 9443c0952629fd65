/**
 * The targets that what was found comes to: one for each pod, called POD.NAMESPACE, or for each of its ports where a source
 * names several (POD.NAMESPACE/PORT); an endpoint that is no pod is called by its address.
 *
 * A pod may be found several times: in two slices while it moves between them, by IPv4 and by IPv6, by two sources. It is
 * one target all the same: of the source that is named first, by IPv4 where it has both, in the better condition. The
 * outcome depends on what is there alone, and never on the order in which it was told.
 */
import type { Protocol } from "../base/settings-urls.ts";
import { formatAddress } from "../base/units.ts";
import type { EndpointCondition, KubeEndpoint, ListedPort } from "./endpoint.ts";
import type { KubeSource } from "./source.ts";

export interface KubePlace {
  readonly id: string;
  readonly node: string;
  /** "" of one that has one port only. */
  readonly endpoint: string;
  readonly host: string;
  readonly port: number;
  readonly tls: boolean;
  readonly protocol: Protocol;
  readonly zone: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly condition: EndpointCondition;
  /** By what it was found. */
  readonly source: KubeSource;
}

/** What one source has found. */
export interface Found {
  readonly source: KubeSource;
  readonly endpoints: Iterable<KubeEndpoint>;
}

export interface Places {
  /** By id, in order. */
  readonly places: readonly KubePlace[];
  /** Pods that two sources want at different ports, in words. */
  readonly faults: readonly string[];
}

/** Longer names than ids may have are those of their addresses. */
const NODE_LENGTH_MAX = 120;
const RANK: Readonly<Record<EndpointCondition, number>> = { ready: 0, draining: 1, unready: 2 };

export function placesOf(found: readonly Found[]): Places {
  const best = new Map<string, KubePlace>();
  const faults = new Set<string>();
  for (const { source, endpoints } of found) {
    const own = new Map<string, KubePlace>();
    for (const endpoint of endpoints) {
      for (const port of endpoint.ports) {
        const place = placeOf(source, endpoint, port);
        const known = own.get(place.id);
        if (known === undefined || isBetter(place, known)) own.set(place.id, place);
      }
    }
    for (const [id, place] of own) {
      const known = best.get(id);
      if (known === undefined) best.set(id, place);
      else if (known.port !== place.port) faults.add(clash(known, place));
    }
  }
  const all = [...best.values()].toSorted((a, b) => compare(a.id, b.id));
  return { places: onePerAddress(all), faults: [...faults].toSorted() };
}

/** A pod that ends may have left its address to another, or to one that takes its place on the same machine. */
function onePerAddress(places: readonly KubePlace[]): KubePlace[] {
  const best = new Map<string, KubePlace>();
  for (const place of places) {
    const address = formatAddress(place);
    const known = best.get(address);
    if (known === undefined || RANK[place.condition] < RANK[known.condition]) best.set(address, place);
  }
  return best.size === places.length ? [...places] : places.filter((place) => best.get(formatAddress(place)) === place);
}

function placeOf(source: KubeSource, endpoint: KubeEndpoint, port: ListedPort): KubePlace {
  const { namespace, pod, host, zone, machine, service, condition } = endpoint;
  const name = `${pod}.${namespace}`;
  const isNamed = pod !== "" && namespace !== "" && name.length <= NODE_LENGTH_MAX;
  const node = isNamed ? name : formatAddress({ host, port: port.number });
  const isOne = source.ports.length < 2 || !isNamed;
  const labels = { "k8s.namespace": namespace, "k8s.pod": pod, "k8s.node": machine, "k8s.service": service };
  return {
    id: isOne ? node : `${node}/${port.name}`,
    node,
    endpoint: isOne ? "" : port.name,
    host,
    port: port.number,
    tls: source.tls,
    protocol: source.protocol,
    zone: zone.slice(0, 128),
    labels: Object.fromEntries(Object.entries(labels).filter(([, value]) => value !== "")),
    condition,
    source,
  };
}

function isBetter(place: KubePlace, known: KubePlace): boolean {
  const order = [
    family(place) - family(known),
    RANK[place.condition] - RANK[known.condition],
    compare(place.host, known.host),
    place.port - known.port,
    compare(JSON.stringify(place.labels), JSON.stringify(known.labels)),
    compare(place.zone, known.zone),
  ];
  return (order.find((one) => one !== 0) ?? 0) < 0;
}

/** IPv4, then IPv6, then names. */
function family({ host }: KubePlace): number {
  return host.includes(":") ? 1 : /^[0-9.]+$/.test(host) ? 0 : 2;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function clash(known: KubePlace, place: KubePlace): string {
  const [one, other] = [known, place].map(({ port, source }) => `port ${port} by ${source.text}`);
  return `${known.id} is found at ${one} and at ${other}; the first counts: name both ports in one source, port=A,B`;
}
