/** Commands for the tests: short ways to write them, and random ones. */
import fc from "fast-check";
import { PolicyMachine } from "../../src/policy/machine.ts";
import type { Applied } from "../../src/policy/machine.ts";
import type { Kind } from "../../src/policy/spec.ts";

const encoder = new TextEncoder();

/** Whatever it is, as bytes of JSON. */
export function bytesOf(value: unknown): Uint8Array {
  return encoder.encode(JSON.stringify(value));
}

export function put(kind: Kind, name: string, spec: unknown, ifRevision?: number): object {
  return { put: { kind, name, spec }, ...(ifRevision === undefined ? {} : { ifRevision }) };
}

export function gone(kind: Kind, name: string, ifRevision?: number): object {
  return { delete: { kind, name }, ...(ifRevision === undefined ? {} : { ifRevision }) };
}

/** A machine that is told one command after the other. */
export class Told {
  readonly machine: PolicyMachine;
  #keys = 0;

  constructor(machine = new PolicyMachine()) {
    this.machine = machine;
  }

  write(writes: readonly object[], { key = `key-${++this.#keys}`, atMs = 1_000 } = {}): Applied {
    return this.tell({ op: "write", key, atMs, writes });
  }

  lease(wants: readonly object[], atMs: number): Applied {
    return this.tell({ op: "lease", key: "any", atMs, wants });
  }

  tell(command: unknown): Applied {
    return this.machine.apply(this.machine.appliedIndex + 1, bytesOf(command));
  }
}

// ---- random ones ----------------------------------------------------------------------------------------------------

const node = fc.constantFrom("n1", "n2", "n3");
const models = fc.constantFrom("llama", "meta/llama-3", "qwen");
const tenant = fc.constantFrom("acme", "globex");
const orAny = (of: fc.Arbitrary<string>): fc.Arbitrary<string> => fc.oneof(of, fc.constant("*"));
const scope = fc.tuple(orAny(tenant), orAny(models)).map((parts) => parts.join("/"));
const replicas = fc.integer({ min: 1, max: 3 });

const policies: Readonly<Record<Kind, fc.Arbitrary<readonly [name: string, spec: object]>>> = {
  acl: fc.tuple(
    fc
      .tuple(
        fc.constantFrom("*", "tenant:acme", `key:${"0123456789abcdef".repeat(4)}`),
        orAny(models),
        fc.constantFrom("infer", "embed", "admin", "*"),
      )
      .map((parts) => parts.join("/")),
    fc.record({ effect: fc.constantFrom("allow", "deny") }),
  ),
  balance: fc.tuple(
    orAny(models),
    fc.record(
      {
        strategy: fc.constantFrom("score", "random"),
        weights: fc.dictionary(node, fc.integer({ min: 1, max: 9 }), { minKeys: 1 }),
      },
      { requiredKeys: ["strategy"] },
    ),
  ),
  node: fc.tuple(node, fc.record({ cordoned: fc.boolean() })),
  pin: fc.tuple(
    models,
    fc.oneof(
      fc.record({ nodes: fc.uniqueArray(node, { minLength: 1 }) }),
      fc.record({
        selector: fc.dictionary(fc.constantFrom("zone", "gpu"), node, { minKeys: 1 }),
        maxReplicas: replicas,
      }),
    ),
  ),
  priority: fc.tuple(orAny(tenant), fc.record({ priority: fc.integer({ min: 0, max: 3 }) })),
  quota: fc.tuple(
    scope,
    fc
      .record({ requestsPerSecond: replicas, tokensPerMinute: replicas, concurrency: replicas }, { requiredKeys: [] })
      .filter((spec) => Object.keys(spec).length > 0),
  ),
  scaling: fc.tuple(
    models,
    fc.record({
      minReplicas: fc.constantFrom(0, 1),
      maxReplicas: replicas,
      target: fc.record({ metric: fc.constant("kv-usage"), value: fc.constantFrom(0.5, 0.8) }),
    }),
  ),
  slo: fc.tuple(orAny(models), fc.record({ class: fc.constantFrom("latency", "throughput") })),
};

const revision = fc.oneof(fc.constant(undefined), fc.nat(12));

export const randomWrite: fc.Arbitrary<object> = fc.constantFrom(...(Object.keys(policies) as Kind[])).chain((kind) =>
  fc.oneof(
    {
      weight: 3,
      arbitrary: fc.tuple(policies[kind], revision).map(([[name, spec], at]) => put(kind, name, spec, at)),
    },
    { weight: 1, arbitrary: fc.tuple(policies[kind], revision).map(([[name], at]) => gone(kind, name, at)) },
  ),
);

const amount = fc.oneof(
  { weight: 9, arbitrary: fc.nat(4) },
  fc.constantFrom(2 ** 52, Number.MAX_SAFE_INTEGER - 1, Number.MAX_SAFE_INTEGER),
);
/** Now and then a clock that is far off, as far as a command can say so. */
const atMs = fc.oneof(
  { weight: 19, arbitrary: fc.nat(100_000) },
  fc.constantFrom(8.64e15 - 1, 8.64e15, Number.MAX_SAFE_INTEGER),
);
const amounts = { requests: amount, tokens: amount, concurrency: amount };
const randomWant = fc.record({
  holder: fc.constantFrom("r1/a/0", "r1/a/1", "r2/b/0"),
  quota: scope,
  ...amounts,
  used: fc.record(amounts),
  holding: fc.oneof({ weight: 9, arbitrary: fc.nat(3) }, amount),
});

/** Mostly right; writes that name a policy twice and the like are left in. */
export const randomCommand: fc.Arbitrary<unknown> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      op: fc.constant("write"),
      key: fc.oneof(fc.uuid(), fc.constantFrom("k1", "k2", "k3")),
      atMs,
      writes: fc.array(randomWrite, { minLength: 1, maxLength: 3 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant("lease"),
      key: fc.uuid(),
      atMs,
      wants: fc.array(randomWant, { minLength: 1, maxLength: 4 }),
    }),
  },
  fc.record({
    op: fc.constant("seat"),
    member: fc.integer({ min: 1, max: 5 }),
    node,
    address: fc.constantFrom("10.0.0.1:7950", "[::1]:7950"),
  }),
  fc.record({ op: fc.constant("unseat"), member: fc.integer({ min: 1, max: 5 }) }),
  fc.jsonValue(),
);
