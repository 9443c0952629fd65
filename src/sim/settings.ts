/** What the simulated runtime is, wherever it is started. */
import { list } from "../base/settings-collections.ts";
import { choice, integer, number, text } from "../base/settings.ts";
import { PROFILE_NAMES } from "./profile.ts";

export const mockFields = {
  profile: choice(PROFILE_NAMES, {
    default: "h100-8b",
    doc: "Which GPU and model size are simulated: decides prefill and decode rates, KV cache and batch size.",
  }),
  speed: number({
    default: 1,
    min: 0.001,
    max: 10_000,
    doc: "Simulated seconds per real second. 10 makes tests ten times faster and leaves the order of events alone.",
  }),
  seed: integer({ default: 1, doc: "Decides generated texts, embeddings and injected errors: one seed, one answer." }),
  models: list(text({ pattern: /^\S{1,256}$/, expected: "a model's name of at most 256 characters without spaces" }), {
    default: [],
    lengthMax: 64,
    placeholder: "NAME,...",
    emptyMeans: "the profile's own",
    doc: "Names under which the simulated model is served.",
  }),
  gpus: integer({
    default: 0,
    max: 64,
    emptyMeans: "as many as the profile uses",
    doc: "GPUs that the node shows; 0 for as many as the profile uses.",
  }),
};
