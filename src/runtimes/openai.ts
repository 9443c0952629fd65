/**
 * A server of OpenAI's API that is none of those that are known: it is asked which models it has, and no more. Its figures
 * are not known, so that it is scored by what is sent to it and by what its answers tell (ORCA).
 */
import { readOpenAiModels } from "./openai-models.ts";
import { type AdapterTable, get } from "./table.ts";

export const OPENAI: AdapterTable = {
  kind: "generic",
  title: "a server of OpenAI's API",
  ports: {},
  sources: ["openai/openai-openapi: GET /v1/models"],
  looks: [get("models", "/v1/models", { read: readOpenAiModels })],
};
