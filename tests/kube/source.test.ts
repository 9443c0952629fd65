import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { type Fault, formatFault } from "../../src/base/field.ts";
import { parseSelector } from "../../src/kube/selector.ts";
import { type KubeSource, kubeSource } from "../../src/kube/source.ts";

const field = kubeSource(["vllm", "sglang", "triton"]);

function read(raw: unknown): { readonly source: KubeSource | undefined; readonly faults: string[] } {
  const faults: Fault[] = [];
  const source = field.read(raw, { path: "discover", source: "flag", fromText: true, faults });
  return { source, faults: faults.map(formatFault) };
}

function good(text: string): KubeSource {
  const { source, faults } = read(text);
  expect(faults).toEqual([]);
  return source!;
}

describe("a source", () => {
  test("selects slices by their labels, by their Service, or pods", () => {
    expect(good("k8s://default?selector=app=vllm")).toEqual({
      text: "k8s://default?selector=app=vllm",
      namespace: "default",
      resource: "endpointslices",
      selector: "app=vllm",
      ports: [],
      protocol: "http",
      tls: false,
      runtime: "auto",
      models: [],
      role: "",
    });
    expect(good("k8s://llm-d?service=vllm")).toMatchObject({
      namespace: "llm-d",
      resource: "endpointslices",
      selector: "kubernetes.io/service-name=vllm",
    });
    expect(good("k8s://*?pods=app=vllm,tier!=dev")).toMatchObject({
      namespace: "",
      resource: "pods",
      selector: "app=vllm,tier!=dev",
    });
  });

  test("takes what a query can hold", () => {
    expect(good("k8s://a?selector=app+in+(x,y)%2Cgpu").selector).toBe("app in (x,y),gpu");
    expect(good("k8s://a?pods=app%3Dvllm&port=http,8001&scheme=https&runtime=vllm&model=org/llama,qwen")).toMatchObject(
      {
        selector: "app=vllm",
        ports: ["http", "8001"],
        protocol: "http",
        tls: true,
        runtime: "vllm",
        models: ["org/llama", "qwen"],
      },
    );
    expect(good("k8s://a?pods=llm-d.ai/role=prefill&role=sglang.prefill.8998")).toMatchObject({
      selector: "llm-d.ai/role=prefill",
      role: "sglang.prefill.8998",
    });
    expect(good("k8s://a?pods=x&scheme=grpc&port=8001&model=resnet")).toMatchObject({
      protocol: "grpc",
      runtime: "none",
    });
  });

  const faults: readonly (readonly [string, string])[] = [
    ["http://default?selector=a", "k8s://NAMESPACE?selector=LABELS"],
    ["k8s://", "k8s://NAMESPACE?selector=LABELS"],
    ["k8s://?selector=a=b", "k8s://NAMESPACE?selector=LABELS"],
    ["k8s://Default?selector=a=b", "the name of a namespace, or * for all of them"],
    ["k8s://default", "one of selector, service, pods"],
    ["k8s://default?selector=a&pods=b", "one of selector, service, pods"],
    ["k8s://default?selector=a==b=c", "a label selector"],
    ["k8s://default?selector=", "selector=VALUE, once"],
    ["k8s://default?selector=a&selector=b", "selector=VALUE, once"],
    ["k8s://default?selector=%zz", "selector=VALUE, once"],
    ["k8s://default?selektor=a", "did you mean selector?"],
    ["k8s://default?service=Vllm", "service=NAME"],
    ["k8s://default?selector=a&port=70000", "port=NAME or port=NUMBER"],
    ["k8s://default?selector=a&port=1,1", "port=NAME or port=NUMBER"],
    ["k8s://default?selector=a&port=1,2,3,4,5,6,7,8,9", "port=NAME or port=NUMBER"],
    ["k8s://default?selector=a&scheme=ftp", "scheme= one of http, https, grpc, grpcs"],
    ["k8s://default?selector=a&runtime=vlm", "did you mean vllm?"],
    ["k8s://default?selector=a&runtime=none", "model=NAME"],
    ["k8s://default?selector=a&scheme=grpc", "model=NAME"],
    ["k8s://default?selector=a&scheme=grpc&runtime=vllm", "runtime=none with scheme=grpc"],
    ["k8s://default?selector=a&role=prefill", "role= one of vllm.prefill"],
    ["k8s://default?selector=a&scheme=grpc&model=m&role=vllm.prefill", "role= with scheme=http"],
    [`k8s://default?selector=${"a".repeat(3000)}`, "k8s://NAMESPACE?selector=LABELS"],
  ];
  for (const [text, expected] of faults) {
    test(`${text.slice(0, 60)} is refused with what is expected`, () => {
      const { source, faults: told } = read(text);
      expect(source).toBeUndefined();
      expect(told.join("; ")).toContain(expected);
    });
  }

  test("text of any kind is read or refused, never both and never neither", () => {
    const word = fc.constantFrom(
      "k8s://",
      "a",
      "?",
      "&",
      "=",
      "selector",
      "pods",
      "port",
      "%",
      "(",
      ")",
      ",",
      "!",
      " ",
      "\n",
      "8",
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(word, { maxLength: 20 }).map((words) => words.join("")),
    );
    fc.assert(
      fc.property(text, (raw) => {
        const { source, faults: told } = read(raw);
        expect((source === undefined) === told.length > 0).toBe(true);
        if (source !== undefined) expect(good(field.write(source) as string)).toEqual(source);
      }),
      { numRuns: 2000 },
    );
    expect(read(7).source).toBeUndefined();
  });
});

describe("a label selector", () => {
  test("is what kubectl takes", () => {
    const right = [
      "a",
      "!a",
      "! a",
      "a=b",
      "a==b",
      "a!=b",
      "a=",
      "a = b",
      "a in (b)",
      "a notin (b, c)",
      "x.io/y-z.w=V_1",
    ];
    for (const one of right) expect([one, parseSelector(one)]).toEqual([one, one]);
    expect(parseSelector(" a=b , c in (d,e) , !f ")).toBe("a=b,c in (d,e),!f");
  });

  test("is refused where it is none", () => {
    const wrong = [
      "",
      ",",
      "a,",
      "a=b=c",
      "a b",
      "a in",
      "a in ()x",
      "a in (b",
      "(",
      "-a",
      "a=-b",
      "a/b/c",
      "A.io/",
      `a=${"b".repeat(64)}`,
    ];
    for (const one of wrong) expect([one, parseSelector(one)]).toEqual([one, undefined]);
    expect(parseSelector(Array.from({ length: 33 }, (_, index) => `a${index}`).join(","))).toBeUndefined();
    expect(parseSelector("a".repeat(1025))).toBeUndefined();
  });
});
