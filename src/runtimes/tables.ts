/** The tables of all servers that are known, by their kinds; `generic` is read of a file, `mock` is no server. */
import type { AdapterTable } from "./table.ts";
import { KSERVE } from "./kserve.ts";
import { LLAMACPP } from "./llamacpp.ts";
import { LMDEPLOY } from "./lmdeploy.ts";
import { OLLAMA } from "./ollama.ts";
import { OPENVINO } from "./openvino.ts";
import type { RuntimeKind } from "./reading.ts";
import { SGLANG } from "./sglang.ts";
import { TFSERVING } from "./tfserving.ts";
import { TGI } from "./tgi.ts";
import { TORCHSERVE } from "./torchserve.ts";
import { TRITON } from "./triton.ts";
import { VLLM } from "./vllm.ts";

export const TABLES: Readonly<Record<Exclude<RuntimeKind, "generic" | "mock">, AdapterTable>> = {
  vllm: VLLM,
  sglang: SGLANG,
  tgi: TGI,
  triton: TRITON,
  llamacpp: LLAMACPP,
  ollama: OLLAMA,
  torchserve: TORCHSERVE,
  tfserving: TFSERVING,
  openvino: OPENVINO,
  lmdeploy: LMDEPLOY,
  kserve: KSERVE,
};
