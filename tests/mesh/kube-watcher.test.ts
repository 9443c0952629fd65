import { afterAll, expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Prng } from "../../src/base/prng.ts";
import { kubeSource } from "../../src/kube/source.ts";
import type { KubeNews } from "../../src/kube/watch.ts";
import { type AccessConfig, KubeAccess } from "../../src/mesh/kube-access.ts";
import { KubeClient } from "../../src/mesh/kube-client.ts";
import { KubeWatcher } from "../../src/mesh/kube-watcher.ts";
import { KubeServer } from "../kube/kube-server.ts";
import { sliceOf } from "../kube/model-api.ts";
import { selfSigned } from "../net/certificates.ts";

const ended: (() => unknown)[] = [];
// They wait for the clock most of the time, and do so together.
afterAll(async () => {
  for (const end of ended.splice(0).toReversed()) await end();
});

async function kubernetes(): Promise<KubeServer> {
  const server = new KubeServer();
  ended.push(() => server.stop());
  return server.open();
}

function folder(): string {
  const path = mkdtempSync(join(tmpdir(), "infermesh-kube-"));
  ended.push(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

const own = (serviceAccount: string): AccessConfig => ({ kubeconfig: "", context: "", serviceAccount });

function watching(access: KubeAccess, more: { readonly answerBytesMax?: number } = {}) {
  const news: KubeNews[] = [];
  const at = { path: "", source: "", fromText: true, faults: [] };
  const watcher = new KubeWatcher({
    source: kubeSource(["vllm"]).read("k8s://default?selector=app=vllm", at)!,
    client: new KubeClient({ access, ...more }),
    prng: new Prng(4),
    changed() {},
    say: (one) => news.push(one),
  }).begin();
  ended.push(() => watcher.stop());
  const pods = (): string =>
    [...watcher.endpoints()]
      .map(({ pod }) => pod)
      .toSorted()
      .join();
  return { watcher, news, pods };
}

async function until(condition: () => boolean): Promise<void> {
  const end = performance.now() + 20_000;
  while (!condition()) {
    if (performance.now() > end) throw new Error(`not so in time: ${condition.toString()}`);
    await Bun.sleep(10);
  }
}

const slice = (name: string) => sliceOf(name, [{ pod: name, address: "10.0.0.1" }]);

test.concurrent("what there is, is listed, and changes are heard of at once", async () => {
  const server = await kubernetes();
  server.put("endpointslices", slice("a"));
  const { watcher, pods, news } = watching(new KubeAccess(own(server.serviceAccount), server.env));
  await until(() => server.watching === 1 && pods() === "a");
  server.put("endpointslices", slice("b"));
  await until(() => pods() === "a,b");
  server.delete("endpointslices", "default", "a");
  await until(() => pods() === "b");
  expect(news).toMatchObject([{ kind: "synced", objects: 1 }]);
  expect(watcher.counts).toMatchObject({ lists: 1, watches: 1, events: 2, failures: 0 });
  expect(watcher.failure).toBe("");
  expect(server.requests[0]?.token).toBe("Bearer first-token");
});

test.concurrent("a server that is too busy says when it is asked again", async () => {
  const server = await kubernetes();
  server.faults.set("endpointslices list", { status: 429, message: "too many requests", retryAfter: "1" });
  const { watcher, news } = watching(new KubeAccess(own(server.serviceAccount), server.env));
  await until(() => news.length > 0);
  expect(news[0]).toEqual({ kind: "failed", why: "too many requests", status: 429 });
  server.faults.clear();
  await until(() => watcher.hasSynced);
  const [first, second] = server.requests;
  expect(second!.atMs - first!.atMs).toBeGreaterThanOrEqual(1000);
});

test.concurrent("a page that is larger than what is read is asked for in smaller ones", async () => {
  const server = await kubernetes();
  for (let index = 0; index < 40; index += 1) server.put("endpointslices", slice(`pod-${index}`));
  const { watcher } = watching(new KubeAccess(own(server.serviceAccount), server.env), { answerBytesMax: 6000 });
  await until(() => watcher.hasSynced);
  expect(watcher.objects).toBe(40);
  const limits = server.requests
    .map(({ path }) => /limit=(\d+)/.exec(path)?.[1])
    .filter((limit) => limit !== undefined);
  expect(limits.slice(0, 3)).toEqual(["500", "125", "31"]);
  expect(new Set(limits.slice(3))).toEqual(new Set(["7"]));
});

test.concurrent("heads that come late, and answers that are none, are failures like others", async () => {
  const server = await kubernetes();
  server.delayMs = 400;
  const { watcher } = watching(new KubeAccess(own(server.serviceAccount), server.env));
  await until(() => watcher.hasSynced);
  const tls = selfSigned("x", "IP:127.0.0.1");
  const answers = ['{"items":7,"metadata":{}}', ""];
  const other = createServer(tls, (_, response) =>
    response.end(answers.pop() ?? '{"items":[],"metadata":{"resourceVersion":"1"}}'),
  );
  await new Promise<void>((resolve) => other.listen(0, "127.0.0.1", resolve));
  ended.push(() => other.close());
  const account = folder();
  writeFileSync(join(account, "token"), "t");
  writeFileSync(join(account, "ca.crt"), tls.cert);
  const env = {
    KUBERNETES_SERVICE_HOST: "127.0.0.1",
    KUBERNETES_SERVICE_PORT: String((other.address() as { port: number }).port),
  };
  const odd = watching(new KubeAccess(own(account), env));
  await until(() => odd.watcher.hasSynced);
  expect(odd.news[0]).toMatchObject({ kind: "failed", why: "its answer is no list of objects" });
  // Its watches are lists: none is taken.
  await until(
    () => odd.news.some((one) => one.kind === "failed" && one.why.includes("watch")) || odd.watcher.counts.watches > 0,
  );
});

test.concurrent("a server that shows a certificate of somebody else is not told the token", async () => {
  const server = await kubernetes();
  const account = folder();
  writeFileSync(join(account, "token"), "t");
  writeFileSync(join(account, "ca.crt"), selfSigned("other", "IP:127.0.0.1").cert);
  const { news } = watching(new KubeAccess(own(account), server.env));
  await until(() => news.length > 0);
  expect(news[0]).toMatchObject({ kind: "failed" });
  expect((news[0] as { why: string }).why).toMatch(/self.signed|certificate|SELF_SIGNED/i);
  expect(server.requests).toEqual([]);
});

test.concurrent("a mount that is not there is told of, and used when it is", async () => {
  const server = await kubernetes();
  const { watcher, news } = watching(new KubeAccess(own(join(folder(), "none")), server.env));
  await until(() => news.length > 0);
  expect((news[0] as { why: string }).why).toContain(
    "ca.crt can't be read: there is no such file; is automountServiceAccountToken off",
  );
  expect(watcher.failure).toContain("ca.crt");
  const late = folder();
  const other = watching(new KubeAccess(own(late), server.env));
  await until(() => other.news.length > 0);
  writeFileSync(join(late, "ca.crt"), server.ca);
  writeFileSync(join(late, "token"), "\n");
  await until(() => other.watcher.failure === "the token is empty");
  writeFileSync(join(late, "token"), "two words");
  await until(() => other.watcher.failure === "the token is none that can be sent");
  writeFileSync(join(late, "token"), server.token);
  await until(() => other.watcher.hasSynced);
});

test.concurrent("outside of a cluster a kubeconfig says how, with files beside it", async () => {
  const server = await kubernetes();
  const path = folder();
  writeFileSync(join(path, "ca.pem"), server.ca);
  writeFileSync(join(path, "token"), server.token);
  const file = join(path, "config");
  const config = `
current-context: a
contexts: [{ name: a, context: { cluster: c, user: u } }, { name: b, context: { cluster: c, user: plugin } }]
clusters: [{ name: c, cluster: { server: "https://127.0.0.1:${server.port}", certificate-authority: ca.pem } }]
users: [{ name: u, user: { tokenFile: token } }, { name: plugin, user: { exec: { command: aws } } }]
`;
  writeFileSync(file, config);
  const access = new KubeAccess({ kubeconfig: file, context: "", serviceAccount: "" }, {});
  expect(access.server).toBe(`https://127.0.0.1:${server.port}`);
  const { watcher } = watching(access);
  await until(() => watcher.hasSynced);
  const refused =
    (context: string, kubeconfig = file) =>
    () =>
      new KubeAccess({ kubeconfig, context, serviceAccount: "" }, {});
  expect(refused("b")).toThrow("an exec plugin");
  expect(refused("c")).toThrow('it has no context "c"');
  expect(refused("", `${file}.none`)).toThrow("there is no such file");
  writeFileSync(file, "a: [");
  expect(refused("")).toThrow("--discover-kubeconfig");
  expect(await access.current()).toContain("--discover-kubeconfig");
  // An IPv6 cluster has its address without brackets.
  const six = new KubeAccess(own("/x"), { KUBERNETES_SERVICE_HOST: "fd00::1", KUBERNETES_SERVICE_PORT: "443" });
  expect(six.server).toBe("https://[fd00::1]:443");
  expect(() => new KubeAccess(own("/x"), {})).toThrow("this is no pod of Kubernetes");
});

test.concurrent("a server's certificate must be for its address, or for the name that the file tells", async () => {
  const tls = selfSigned("api.internal");
  const tokens: string[] = [];
  const server = createServer(tls, ({ headers }, response) => {
    tokens.push(headers.authorization ?? "");
    response.end('{"items":null,"metadata":{"resourceVersion":"1"}}');
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ended.push(() => server.close());
  const { port } = server.address() as { port: number };
  const ca = Buffer.from(tls.cert).toString("base64");
  const by = (name: string) => {
    const file = join(folder(), "config");
    const cluster = `{ server: "https://127.0.0.1:${port}", certificate-authority-data: ${ca}${name} }`;
    writeFileSync(
      file,
      `
current-context: a
contexts: [{ name: a, context: { cluster: c, user: u } }]
clusters: [{ name: c, cluster: ${cluster} }]
users: [{ name: u, user: { token: secret } }]
`,
    );
    return watching(new KubeAccess({ kubeconfig: file, context: "", serviceAccount: "" }, {}));
  };
  for (const name of ["", ", tls-server-name: other.internal"]) {
    const { news } = by(name);
    await until(() => news.length > 0);
    expect(news[0]).toMatchObject({ kind: "failed", why: expect.stringContaining("ALTNAME") });
  }
  expect(tokens).toEqual([]);
  const { watcher } = by(", tls-server-name: api.internal");
  await until(() => watcher.hasSynced);
  expect(tokens[0]).toBe("Bearer secret");
});

test.concurrent("a client certificate is shown to a server that asks for one", async () => {
  const [tls, client] = [selfSigned("x", "IP:127.0.0.1"), selfSigned("client")];
  const seen: string[] = [];
  const server = createServer(
    { ...tls, requestCert: true, ca: client.cert, rejectUnauthorized: true },
    (request, response) => {
      seen.push(request.url ?? "");
      response.end('{"items":null,"metadata":{"resourceVersion":"1"}}');
    },
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  ended.push(() => server.close());
  const { port } = server.address() as { port: number };
  const data = (text: string): string => Buffer.from(text).toString("base64");
  const file = join(folder(), "config");
  const user = `{ client-certificate-data: ${data(client.cert)}, client-key-data: ${data(client.key)} }`;
  writeFileSync(
    file,
    `
current-context: a
contexts: [{ name: a, context: { cluster: c, user: u } }]
clusters: [{ name: c, cluster: { server: "https://127.0.0.1:${port}", certificate-authority-data: ${data(tls.cert)} } }]
users: [{ name: u, user: ${user} }]
`,
  );
  const { watcher } = watching(new KubeAccess({ kubeconfig: file, context: "", serviceAccount: "" }, {}));
  await until(() => watcher.hasSynced);
  expect(seen[0]).toContain("/endpointslices?");
});
