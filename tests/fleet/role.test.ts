import { expect, test } from "bun:test";
import fc from "fast-check";
import { parseRole, roleOf } from "../../src/fleet/role.ts";
import { targetOf } from "./samples.ts";

test("a role is a way, a part, and for SGLang's prefill a port", () => {
  expect(parseRole("vllm.prefill")).toEqual({ transfer: "vllm", part: "prefill", bootstrapPort: 0 });
  expect(parseRole("sglang.prefill")).toEqual({ transfer: "sglang", part: "prefill", bootstrapPort: 8998 });
  expect(parseRole("sglang.prefill.9000")).toEqual({ transfer: "sglang", part: "prefill", bootstrapPort: 9000 });
  expect(parseRole("both")).toBeNull();
  for (const none of [
    "",
    "prefill",
    "vllm",
    "vllm.prefill.1",
    "sglang.decode.1",
    "sglang.prefill.0",
    "sglang.prefill.65536",
  ])
    expect(parseRole(none)).toBeUndefined();
  fc.assert(fc.property(fc.string(), (text) => void parseRole(text)));
});

test("an endpoint's own label wins over its node's, and none, or one that is no role, means all", () => {
  const labels = { "infermesh.role": "vllm.decode", "infermesh.role.a": "vllm.prefill", "infermesh.role.b": "both" };
  const at = (endpoint: string, more: object = {}) => roleOf(targetOf("n", { labels, endpoint, ...more }))?.part;
  expect([at("a"), at("b"), at("c"), at("")]).toEqual(["prefill", undefined, "decode", "decode"]);
  expect(at("a", { protocol: "grpc" })).toBeUndefined();
  expect(at("a", { labels: {} })).toBeUndefined();
  expect(at("a", { labels: { "infermesh.role": "chief" } })).toBeUndefined();
});
