import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Fault, formatFault } from "../../src/base/field.ts";
import { parseRole } from "../../src/fleet/role.ts";
import { roleLabels, unclearRole } from "../../src/telemetry/runtime-serving.ts";
import { runtimeField, type RuntimeSpec } from "../../src/telemetry/runtime-spec.ts";
import { formatRuntimeUrl, parseRuntimeUrl } from "../../src/telemetry/runtime-url.ts";

function read(raw: unknown): { spec: RuntimeSpec | undefined; faults: string[] } {
  const faults: Fault[] = [];
  const spec = runtimeField.read(raw, { path: "runtimes", source: "", fromText: typeof raw === "string", faults });
  return { spec, faults: faults.map(formatFault) };
}

function written(raw: unknown): unknown {
  const { spec, faults } = read(raw);
  expect(faults).toEqual([]);
  return runtimeField.write(spec as RuntimeSpec);
}

describe("a runtime", () => {
  test("is written as kind and URL, as kind alone, or with a name", () => {
    expect(written("vllm=http://127.0.0.1:8000")).toEqual({ kind: "vllm", url: "http://127.0.0.1:8000" });
    expect(written("vllm")).toEqual({ kind: "vllm" });
    expect(written("auto")).toEqual({ kind: "auto" });
    expect(written("big:sglang=https://[::1]:30000/v1/")).toEqual({
      name: "big",
      kind: "sglang",
      url: "https://[::1]:30000",
    });
    expect(written("ollama=unix:/run/ollama.sock")).toEqual({ kind: "ollama", url: "unix:/run/ollama.sock" });
  });

  test("has the same options in a flag and in a file, and shows no secrets", () => {
    const flag =
      "t:triton=http://h:8000,metrics-url=http://h:8002,grpc-url=grpc://h:8001,api-key=s3cret,api-key-header=x-key,basic=file:/run/b,header=x-tenant:env:TENANT,header=x-raw:value:file:x,ca=/ca.pem,verify=false";
    const expected = {
      name: "t",
      kind: "triton",
      url: "http://h:8000",
      metricsUrl: "http://h:8002",
      grpcUrl: "grpc://h:8001",
      apiKey: "(hidden)",
      apiKeyHeader: "x-key",
      basic: "file:/run/b",
      headers: { "x-tenant": "env:TENANT", "x-raw": "(hidden)" },
      ca: "/ca.pem",
      verify: false,
    };
    expect(written(flag)).toEqual(expected);
    const file = { ...expected, apiKey: "s3cret", headers: { "x-tenant": "env:TENANT", "x-raw": "value:file:x" } };
    expect(written(file)).toEqual(expected);
    expect(read(file).spec).toEqual(read(flag).spec);
    expect(read(flag).spec?.headers["x-raw"]).toEqual({ kind: "value", text: "file:x" });
  });

  test("has keys for ports and names of models, where its kind needs them", () => {
    const keys = "torchserve=http://h:8080,api-key=file:/run/i,management-key=file:/run/m,metrics-key=s3cret";
    expect(written(keys)).toEqual({
      kind: "torchserve",
      url: "http://h:8080",
      apiKey: "file:/run/i",
      managementKey: "file:/run/m",
      metricsKey: "(hidden)",
    });
    const named = { kind: "tfserving", url: "http://h:8501", models: ["resnet", "bert"] };
    expect(written("tfserving=http://h:8501,model=resnet,model=bert")).toEqual(named);
    expect(written(named)).toEqual(named);
    expect(written({ kind: "tfserving", models: "resnet" })).toEqual({ kind: "tfserving", models: ["resnet"] });
    for (const [wrong, why] of [
      ["vllm,model=m", "with the kind tfserving only"],
      ["tfserving,model", "names of models"],
      ["tfserving,model=a b", "names of models"],
      ["tfserving,models=a", "an option once"],
      [{ kind: "tfserving", models: Array.from({ length: 33 }, (_, i) => `m${i}`) }, "at most 32"],
      [{ kind: "tfserving", models: [7] }, "names of models"],
    ] as const) {
      expect(read(wrong).faults.join()).toContain(why);
    }
  });

  test("tells where its KV cache events are", () => {
    const flag = "vllm=http://h:8000,kv-events=tcp://*:5557,kv-replay=tcp://[::1]:5657,kv-topic=kv@,kv-ranks=4";
    const expected = {
      kind: "vllm",
      url: "http://h:8000",
      kvEvents: "tcp://*:5557",
      kvReplay: "tcp://[::1]:5657",
      kvTopic: "kv@",
      kvRanks: 4,
    };
    expect(written(flag)).toEqual(expected);
    expect(written(expected)).toEqual(expected);
    expect(read(flag).spec?.kvEvents).toEqual({
      endpoint: "tcp://*:5557",
      replayEndpoint: "tcp://[::1]:5657",
      topic: "kv@",
      ranks: 4,
    });
    const least = { kind: "sglang", kvEvents: "ipc:///run/kv.sock" };
    expect(written("sglang,kv-events=ipc:///run/kv.sock")).toEqual(least);
    expect(read("vllm").spec?.kvEvents).toBeUndefined();
  });

  test("tells which part of requests it computes", () => {
    const prefill = { kind: "sglang", role: "prefill", bootstrapPort: 9000 };
    expect(written("sglang,role=prefill,bootstrap-port=9000")).toEqual(prefill);
    expect(written(prefill)).toEqual(prefill);
    expect(written("vllm=http://h:1,role=decode")).toEqual({ kind: "vllm", url: "http://h:1", role: "decode" });
    expect(read("vllm,role=both").spec?.role).toBe("");
    const specs = ["vllm,role=prefill", "b:sglang,role=prefill,bootstrap-port=1", "tgi"].map(
      (flag) => read(flag).spec!,
    );
    expect(roleLabels(specs)).toEqual({
      "infermesh.role.vllm": "vllm.prefill",
      "infermesh.role.b": "sglang.prefill.1",
    });
    expect(roleLabels(specs.slice(0, 1))).toEqual({ "infermesh.role": "vllm.prefill" });
    expect(unclearRole(specs)).toBe("");
    expect(unclearRole([...specs, read("vllm").spec!])).toBe("vllm");
    expect(Object.values(roleLabels(specs)).every((label) => parseRole(label) !== undefined)).toBe(true);
  });

  test.each<[unknown, RegExp]>([
    ["vllm,role=chief", /runtimes\.role: found "chief".*prefill, decode or both/],
    ["tgi,role=prefill", /runtimes\.role.*only vllm, sglang/],
    ["vllm,role=prefill,bootstrap-port=1", /runtimes\.bootstrapPort.*of sglang/],
    ["sglang,role=decode,bootstrap-port=1", /runtimes\.bootstrapPort/],
    ["sglang,role=prefill,bootstrap-port=0", /runtimes\.bootstrapPort/],
    [{ kind: "sglang", role: "prefill", bootstrapPort: [1] }, /runtimes\.bootstrapPort/],
    ["vllm,kv-events=5557", /runtimes\.kvEvents: found "5557".*a ZeroMQ endpoint: tcp:\/\/HOST:PORT or ipc/],
    ["vllm,kv-events=tcp://h:65535,kv-ranks=2", /runtimes\.kvEvents.*ZeroMQ endpoint.*65536/],
    ["vllm,kv-events=ipc:///a,kv-ranks=2", /runtimes\.kvEvents.*rank 1 has no port/],
    ["vllm,kv-events=tcp://h:1,kv-replay=h:2", /runtimes\.kvReplay: found "h:2"/],
    ["vllm,kv-replay=tcp://h:1", /runtimes\.kvReplay.*kvEvents as well/],
    ["vllm,kv-events=tcp://h:1,kv-ranks=0", /runtimes\.kvRanks.*1 to 64/],
    ["vllm,kv-events=tcp://h:1,kv-ranks=", /runtimes\.kvRanks.*1 to 64/],
    ["tgi,kv-events=tcp://h:1", /runtimes\.kvEvents.*only vllm, sglang, generic/],
    [{ kind: "vllm", kvEvents: "tcp://h:1", kvRanks: [2] }, /runtimes\.kvRanks/],
    [{ kind: "vllm", kvEvents: 5557 }, /runtimes\.kvEvents/],
    [{ kind: "vllm", kvEvents: "tcp://h:1", kvTopic: "a,b" }, /runtimes\.kvTopic/],
    ["vlm=http://h:1", /runtimes\.kind: found "vlm".*expected one of auto, vllm.*did you mean vllm\?/],
    ["vllm=ftp://h:1", /runtimes\.url: found "ftp:\/\/h:1".*expected http:\/\/HOST:PORT/],
    ["vllm=http://h:0", /runtimes\.url/],
    ["vllm=http://h:99999", /runtimes\.url/],
    ["vllm=http://h:1/?x=1", /runtimes\.url/],
    ["vllm=http://h:1/base", /runtimes\.url.*no path behind it/],
    ["vllm=http://h:1/a b", /runtimes\.url/],
    ["triton=http://h:1,grpc-url=http://h:2", /runtimes\.grpcUrl.*expected grpc:\/\/HOST:PORT/],
    ["vllm=http://me:pass@h:1", /runtimes\.url: found "\(hidden\)".*basic: USER:PASSWORD/],
    ["vllm,api-keys=x", /found "api-keys".*did you mean api-key\?/],
    ["vllm,api-key", /found "api-key".*expected api-key=VALUE/],
    ["vllm,api-key=a,api-key=b", /an option once/],
    ["vllm,api-key=file:relative", /runtimes\.apiKey: found "\(hidden\)".*file:\/PATH/],
    ["vllm,api-key=a,bearer=b", /one of apiKey, bearer, basic/],
    ["vllm,api-key-header=x", /expected an apiKey to be sent in it/],
    ["vllm,header=host:x", /found "host".*neither framing/],
    ["vllm,header=x", /runtimes\.header: found "\(hidden\)".*header=NAME:VALUE/],
    ["vllm,cert=/c.pem", /runtimes\.key.*both cert and key/],
    ["vllm,map=/m.yaml", /runtimes\.map.*generic only/],
    ["vllm,verify=maybe", /runtimes\.verify.*true or false/],
    ["auto,api-key=x", /expected auto alone/],
    ["-x:vllm", /runtimes\.name/],
    ["", /expected KIND=URL/],
    [{ kind: "vllm", urls: "x" }, /found "urls".*did you mean url\?/],
    [{ url: "http://h:1" }, /runtimes\.kind/],
    [{ kind: "vllm", headers: ["x"] }, /runtimes\.headers: found "\(hidden\)"/],
    [{ kind: "vllm", apiKey: 5 }, /runtimes\.apiKey: found "\(hidden\)"/],
    [7, /found "\(hidden\)"/],
  ])("written as %p is refused", (raw, why) => {
    const { spec, faults } = read(raw);
    expect(spec).toBeUndefined();
    expect(faults.join("\n")).toMatch(why);
  });

  test("is read or refused, whatever stands there, and what is refused shows no secret", () => {
    const secret = "s3cr3t-that-nobody-sees";
    const key = fc.constantFrom(
      "apiKey",
      "bearer",
      "basic",
      "headers",
      "url",
      "kind",
      "name",
      "verify",
      "apiKeyHeader",
    );
    const value = fc.oneof(
      fc.constant(`\n${secret}`),
      fc.constant([secret]),
      fc.constant({ a: `${secret}\n` }),
      fc.jsonValue(),
    );
    fc.assert(
      fc.property(fc.dictionary(key, value), fc.string(), (record, text) => {
        for (const raw of [record, `vllm,${text}`, text, `vllm,api-key=${text}`]) {
          const { spec, faults } = read(raw);
          expect(spec === undefined).toBe(faults.length > 0);
        }
        const secrets = {
          kind: "vllm",
          apiKey: record["apiKey"],
          bearer: record["bearer"],
          headers: record["headers"],
        };
        const { spec, faults } = read(secrets);
        expect(faults.join()).not.toContain(secret);
        if (spec !== undefined) expect(JSON.stringify(runtimeField.write(spec))).not.toContain(secret);
      }),
    );
  });
});

test("a URL is the same after it was written and read again", () => {
  const host = fc.oneof(
    fc.domain(),
    fc.ipV4(),
    fc.ipV6().map((ip) => `[${ip}]`),
  );
  const urls = fc.tuple(fc.constantFrom("http", "https", "grpc", "grpcs"), host, fc.integer({ min: 1, max: 65_535 }));
  fc.assert(
    fc.property(urls, ([scheme, name, port]) => {
      const url = parseRuntimeUrl(`${scheme}://${name}:${port}`);
      if (url === undefined) return;
      expect(url).toMatchObject({ port, tls: scheme.endsWith("s"), base: "" });
      expect(parseRuntimeUrl(formatRuntimeUrl(url))).toEqual(url);
    }),
  );
  expect(parseRuntimeUrl("http://127.0.0.1:8000")).toBeDefined();
  expect(parseRuntimeUrl("https://vllm.local")).toMatchObject({ host: "vllm.local", port: 443 });
});
