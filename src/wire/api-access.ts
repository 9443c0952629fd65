/**
 * Which API shapes may pass this router: the two settings that decide about paths that no row of the table knows, and
 * about those that change what a runtime serves.
 */
import { choice, section } from "../base/settings.ts";
import type { Infer } from "../base/settings.ts";
import type { ApiShape } from "./api-shapes.ts";

export const apiSettings = section({
  unknownPaths: choice(["refuse", "v1", "pass"], {
    default: "v1",
    doc: "Which paths go to targets though this router does not know them: none (404), those below /v1/, or all. The model is then named by x-infermesh-model or the body's model, or is the only one; the request is never repeated.",
  }),
  managementPaths: choice(["refuse", "pass"], {
    default: "refuse",
    doc: "Whether clients may load, unload, pull or delete models at a target through this router. Refused, since it changes what everybody is served, at one target only.",
  }),
});

export type ApiConfig = Infer<typeof apiSettings>;

/** Whether a request may go on, or be answered by the router: "not_found" and "method" are refused. */
export function apiAccess(shape: ApiShape, config: ApiConfig): "pass" | "not_found" | "method" {
  switch (shape.work) {
    case "method":
      return "method";
    case "unlisted":
      return config.unknownPaths === "refuse" ? "not_found" : "pass";
    case "unknown":
      return config.unknownPaths === "pass" ? "pass" : "not_found";
    case "management":
      return shape.local !== "" || config.managementPaths === "pass" ? "pass" : "not_found";
    default:
      return "pass";
  }
}
