/**
 * `GET /v1/models` as the servers of OpenAI's API answer it: a list of cards. Those that serve LoRA adapters list them
 * with the model that they adapt as `parent`; most tell the context length as `max_model_len`.
 */
import type { Answer } from "./adapter.ts";
import { jsonOf, listAt, memberAt, numberAt, textAt } from "./json-answer.ts";
import type { ModelTold, Refusal, Told } from "./table.ts";

export function readOpenAiModels(answer: Answer): Told | Refusal {
  const json = jsonOf(answer);
  if (!Array.isArray(memberAt(json, "data"))) {
    return { kind: "unreadable", message: 'it has no list of models ("data")' };
  }
  const models: ModelTold[] = [];
  for (const card of listAt(json, "data")) {
    const model = textAt(card, "id");
    if (model === "") continue;
    const parent = textAt(card, "parent");
    const contextTokensMax = numberAt(card, "max_model_len");
    models.push({
      model,
      ...(parent === "" ? {} : { parent }),
      ...(contextTokensMax === undefined ? {} : { contextTokensMax }),
    });
  }
  return { models: models.map((each) => withParentContext(each, models)) };
}

/** An adapter's context is its parent's where its own card does not tell one. */
function withParentContext(model: ModelTold, models: readonly ModelTold[]): ModelTold {
  if (model.parent === undefined || model.contextTokensMax !== undefined) return model;
  const contextTokensMax = models.find((each) => each.model === model.parent)?.contextTokensMax;
  return contextTokensMax === undefined ? model : { ...model, contextTokensMax };
}
