import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { adviceFor } from "../../src/kube/advice.ts";
import { accessIn } from "../../src/kube/kubeconfig.ts";
import { WatchLines } from "../../src/kube/watch-lines.ts";

const base64 = (text: string): string => Buffer.from(text).toString("base64");

function config(cluster: object = {}, user: object = { token: "t" }): object {
  return {
    "current-context": "here",
    contexts: [
      { name: "there", context: { cluster: "no", user: "u" } },
      { name: "here", context: { cluster: "c", user: "u" } },
    ],
    clusters: [{ name: "c", cluster: { server: "https://10.0.0.1:6443/", ...cluster } }],
    users: [{ name: "u", user }],
  };
}

describe("a kubeconfig", () => {
  test("says where the API server is, whom to trust, and who one is", () => {
    const cluster = { "certificate-authority-data": base64("CA"), "tls-server-name": "kubernetes" };
    expect(accessIn(config(cluster, { token: " secret\n" }), "")).toEqual({
      server: "https://10.0.0.1:6443",
      ca: { text: "CA" },
      verify: true,
      serverName: "kubernetes",
      token: { text: "secret" },
      certificate: undefined,
      key: undefined,
    });
    const user = { tokenFile: "token", "client-certificate": "c.pem", "client-key-data": base64("KEY") };
    expect(
      accessIn(config({ server: "https://x/k8s/clusters/c-1", "insecure-skip-tls-verify": true }, user), "here"),
    ).toMatchObject({
      server: "https://x/k8s/clusters/c-1",
      ca: undefined,
      verify: false,
      token: { file: "token" },
      certificate: { file: "c.pem" },
      key: { text: "KEY" },
    });
  });

  const faults: readonly (readonly [unknown, string, string])[] = [
    [7, "", "it is no kubeconfig"],
    [{}, "", "no current-context"],
    [config(), "nowhere", 'no context "nowhere"'],
    [config(), "there", 'the cluster of its context "there" is not there'],
    [config({ server: "10.0.0.1" }), "", "no https://HOST:PORT"],
    [config({ server: "https://u:p@10.0.0.1" }), "", "no https://HOST:PORT"],
    [config({ "proxy-url": "http://p" }), "", "proxy-url, which is not supported"],
    [config({}, { exec: { command: "aws" } }), "", "an exec plugin"],
    [config({}, { "auth-provider": { name: "gcp" } }), "", "an auth provider"],
    [config({}, { username: "a", password: "b" }), "", "a password"],
    [config({}, { token: "t", as: "root" }), "", "impersonation"],
    [config({ "certificate-authority-data": "%%" }), "", "certificate-authority-data is no Base64"],
    [config({}, { "client-certificate": "c.pem" }), "", "a client certificate without a key"],
  ];
  for (const [given, context, expected] of faults) {
    test(`is refused: ${expected}`, () => expect(accessIn(given, context)).toContain(expected));
  }

  test("of any kind is read or refused", () => {
    fc.assert(
      fc.property(
        fc.jsonValue(),
        fc.dictionary(fc.constantFrom("server", "proxy-url", "token"), fc.jsonValue()),
        (any, part) => {
          for (const one of [any, config(part, part), config(any as object, any as object)]) {
            const access = accessIn(one, "");
            if (typeof access === "string") expect(access).not.toBe("");
            else expect(access.server).toMatch(/^https?:/);
          }
        },
      ),
    );
  });
});

test("what to do about a refusal names the right that is missing", () => {
  const slices = { resource: "endpointslices", namespace: "a", selector: "x" } as const;
  expect(adviceFor(403, slices)).toContain(
    "list and watch endpointslices (apiGroups: [discovery.k8s.io]) in the namespace a",
  );
  expect(adviceFor(403, { ...slices, namespace: "", resource: "pods" })).toContain(
    'apiGroups: [""]) in all namespaces, by a ClusterRole',
  );
  expect(adviceFor(401, slices)).toContain("does not know who asks");
  expect(adviceFor(404, slices)).toContain("Kubernetes 1.21");
  expect(adviceFor(503, slices)).toBe("");
});

describe("the lines of a watch", () => {
  test("are the same however they are cut", () => {
    fc.assert(
      fc.property(fc.array(fc.jsonValue(), { maxLength: 8 }), fc.array(fc.nat(40)), (values, cuts) => {
        const bytes = new TextEncoder().encode(values.map((value) => `${JSON.stringify(value)}\n`).join("\r\n"));
        const lines = new WatchLines();
        const read: unknown[] = [];
        let at = 0;
        for (const cut of [...cuts, bytes.length]) {
          const end = Math.min(bytes.length, at + cut);
          read.push(...(lines.push(bytes.subarray(at, end)) as unknown[]));
          at = end;
        }
        expect(read).toEqual(values.map((value) => JSON.parse(JSON.stringify(value)) as unknown));
      }),
    );
  });

  test("one that is no JSON is told as such, one without an end is none, and one that is too long ends it", () => {
    const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
    expect(new WatchLines().push(bytes('{"a":1}\nnonsense\n{"b'))).toEqual([{ a: 1 }, undefined]);
    const short = new WatchLines(8);
    expect(short.push(bytes("[1]\n1234"))).toEqual([[1]]);
    expect(short.push(bytes("56789"))).toBe("too_long");
    expect(new WatchLines(8).push(bytes(`"${"x".repeat(20)}"\n`))).toBe("too_long");
  });
});
