/** The API server of Kubernetes that a router would ask for its runtimes: whether it lets itself be listed and watched. */
import { Prng } from "./base/prng.ts";
import { toMeshError } from "./base/errors.ts";
import type { Finding } from "./diagnosis/finding.ts";
import { type DiscoveryFacts, judgeDiscovery } from "./diagnosis/network-checks.ts";
import { reach } from "./doctor-files.ts";
import type { Subject } from "./doctor-subject.ts";
import { adviceFor, emptyHint } from "./kube/advice.ts";
import type { KubeSource } from "./kube/source.ts";
import type { KubeNews } from "./kube/watch.ts";
import { KubeAccess } from "./mesh/kube-access.ts";
import { KubeClient } from "./mesh/kube-client.ts";
import { KubeWatcher } from "./mesh/kube-watcher.ts";

const NOTHING = { server: "", objects: 0, places: 0, faults: [], fault: "", advice: "" };

export async function discoveryFindings({ discover }: Subject, limitMs: number): Promise<Finding[]> {
  if (discover === undefined || discover.sources.length === 0) return [];
  const { sources, kubeconfig } = discover;
  await reach([kubeconfig]);
  try {
    const access = new KubeAccess(discover);
    const facts = await Promise.all(sources.map((source) => lookAt(source, access, limitMs)));
    return facts.map(judgeDiscovery);
  } catch (error) {
    const source = sources.map(({ text }) => text).join(" ");
    return [judgeDiscovery({ ...NOTHING, source, fault: toMeshError(error).message })];
  }
}

/** Watches as the router would, until it is known whether that goes. */
async function lookAt(source: KubeSource, access: KubeAccess, limitMs: number): Promise<DiscoveryFacts> {
  const { promise, resolve } = Promise.withResolvers<KubeNews | undefined>();
  const watcher = new KubeWatcher({
    source,
    client: new KubeClient({ access }),
    prng: new Prng(crypto.getRandomValues(new Uint32Array(1))[0] ?? 1),
    changed() {},
    say(news) {
      if (news.kind !== "odd") resolve(news);
    },
  }).begin();
  const timer = setTimeout(resolve, limitMs);
  const news = await promise;
  clearTimeout(timer);
  watcher.stop();
  const { objects } = watcher;
  const facts = { ...NOTHING, source: source.text, server: access.server, objects };
  if (news === undefined) return { ...facts, fault: `no answer within ${(limitMs / 1000).toFixed(1)} s` };
  if (news.kind === "failed") return { ...facts, fault: news.why, advice: adviceFor(news.status, source) };
  return {
    ...facts,
    places: [...watcher.endpoints()].flatMap(({ ports }) => ports).length,
    faults: [...watcher.faults()].map(([object, fault]) => `${object}: ${fault}`),
    advice: objects === 0 ? emptyHint(source) : "",
  };
}
