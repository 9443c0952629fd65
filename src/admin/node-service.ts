/**
 * The API's methods about nodes and models: what the membership, the fleet of a router and the policies know of them,
 * put together by id.
 */
import { MeshError } from "../base/errors.ts";
import { didYouMean } from "../base/nearest.ts";
import type {
  GetModelRequest,
  GetModelResponse,
  GetNodeRequest,
  GetNodeResponse,
  Init,
  ListModelsRequest,
  ListModelsResponse,
  ListNodesRequest,
  ListNodesResponse,
  Model,
  ModelNode,
  Node,
  NodeState,
  Target,
} from "../gen/services.js";
import type { Item, ItemOf } from "../policy/item.ts";
import { ServingView } from "../policy/serving-view.ts";
import { briefly, byNode, type FleetFacts, type MemberFacts, memberNode, modelsOf } from "./node-message.ts";
import { targetMessage, targetNode } from "./node-message.ts";
import { type PolicyAccess, policyMessage } from "./policy-access.ts";

export interface NodeServiceOptions {
  members(): readonly MemberFacts[];
  /** Of the same members, what policies may name. */
  named(): readonly Pick<MemberFacts, "id" | "role" | "labels" | "models">[];
  /** Routers only. */
  readonly fleet?: FleetFacts | undefined;
  /** A node's newest state, as a message; undefined where it is not known here. */
  state(id: string): object | undefined;
  /** Throws a MeshError where there is no store. */
  policies(): PolicyAccess;
}

const ROLES = ["agent", "router", "client", "unknown"];

export class NodeService {
  readonly #options: NodeServiceOptions;

  constructor(options: NodeServiceOptions) {
    this.#options = options;
  }

  /** Ids and labels of all nodes that can serve, and the models that are served: what policies may name. */
  known(): { nodes: { id: string; labels: Readonly<Record<string, string>> }[]; models: string[] } {
    const members = this.#options.named();
    const targets = byNode(this.#options.fleet?.targets() ?? []);
    const isMember = new Set(members.map(({ id }) => id));
    const others = [...targets].filter(([id]) => !isMember.has(id));
    const nodes = [
      ...members.filter(({ role }) => role === "agent" || role === "unknown"),
      ...others.map(([id, of]) => ({ id, labels: of[0]?.labels ?? {}, models: [] })),
    ];
    const served = ({ id, models }: { id: string; models: readonly string[] }): readonly string[] =>
      targets.has(id) ? modelsOf(targets.get(id) ?? []) : models;
    return {
      nodes: nodes.map(({ id, labels }) => ({ id, labels })),
      models: [...new Set(nodes.flatMap(served))],
    };
  }

  /** Throws `not_found` with the id that was probably meant. */
  knownNode(id: string): void {
    said("id", id, "a node's id");
    const ids = this.#nodes(new Map(), false).map((node) => node.id ?? "");
    if (!ids.includes(id)) throw unknown("node", id, ids);
  }

  async listNodes(request: ListNodesRequest): Promise<Init<ListNodesResponse>> {
    const { role, model, zone, selector, withState } = request;
    if (role !== "" && !ROLES.includes(role)) {
      const hint = didYouMean(role, ROLES);
      const what = `role is ${JSON.stringify(role.slice(0, 40))}; expected ${ROLES.join(", ")}`;
      throw new MeshError("bad_request", hint === "" ? what : `${what}; ${hint}`, { param: "role" });
    }
    const nodes = this.#nodes(await this.#nodePolicies(), withState).filter(
      (node) =>
        (role === "" || node.role === role) &&
        (zone === "" || node.zone === zone) &&
        (model === "" || node.models?.includes(model) === true) &&
        Object.entries(selector).every(([label, value]) => node.labels?.[label] === value),
    );
    return { nodes };
  }

  async getNode({ id }: GetNodeRequest): Promise<Init<GetNodeResponse>> {
    said("id", id, "a node's id");
    const nodes = this.#nodes(await this.#nodePolicies(), false);
    const node = nodes.find((one) => one.id === id);
    if (node === undefined) {
      throw unknown(
        "node",
        id,
        nodes.map((one) => one.id ?? ""),
      );
    }
    return { node: { ...node, state: this.#state(id) } };
  }

  async listModels({ node }: ListModelsRequest): Promise<Init<ListModelsResponse>> {
    const models = this.#models(await this.#items());
    if (node === "") return { models };
    this.knownNode(node);
    return { models: models.filter((model) => model.nodes?.some(({ id }) => id === node) === true) };
  }

  async getModel({ id }: GetModelRequest): Promise<Init<GetModelResponse>> {
    said("id", id, "a model's name");
    const items = await this.#items();
    const models = this.#models(items);
    const model = models.find((one) => one.id === id);
    if (model === undefined) {
      throw unknown(
        "model",
        id,
        models.map((one) => one.id ?? ""),
      );
    }
    const nodes = model.nodes?.map((node) => ({ ...node, modelState: this.#modelState(node.id ?? "", id) })) ?? [];
    const isOfNode = ({ kind, name }: Item): boolean => kind === "node" && nodes.some((node) => node.id === name);
    const policies = items.filter((item) => isOfNode(item) || isAbout(item, id));
    return { model: { ...model, nodes }, policies: policies.map(policyMessage) };
  }

  /** What is known here of the policies; nothing while there is no store. */
  async #items(): Promise<readonly Item[]> {
    try {
      return (await this.#options.policies().list({ consistent: false })).items;
    } catch (error) {
      if (error instanceof MeshError) return [];
      throw error;
    }
  }

  async #nodePolicies(): Promise<ReadonlyMap<string, ItemOf<"node">>> {
    const items = (await this.#items()).filter((item): item is ItemOf<"node"> => item.kind === "node");
    return new Map(items.map((item) => [item.name, item]));
  }

  #nodes(policies: ReadonlyMap<string, ItemOf<"node">>, withState: boolean): Init<Node>[] {
    const { fleet } = this.#options;
    const targets = byNode(fleet?.targets() ?? []);
    const members = this.#options.members();
    const nodes = members.map((member): Init<Node> => memberNode(member));
    const isMember = new Set(members.map(({ id }) => id));
    for (const [id, [first]] of targets) if (!isMember.has(id) && first !== undefined) nodes.push(targetNode(first));
    return nodes.map((node): Init<Node> => {
      const id = node.id ?? "";
      const own = targets.get(id) ?? [];
      const told = fleet === undefined ? [] : own.map((target) => targetMessage(target, fleet));
      const spec = policies.get(id)?.spec;
      return {
        ...node,
        models: own.length === 0 ? node.models : modelsOf(own),
        cordoned: spec?.cordoned === true,
        draining: spec?.draining === true,
        reason: spec?.reason ?? "",
        target: told.find(({ routable }) => routable) ?? told[0],
        targets: told,
        state: withState ? this.#state(id) : undefined,
      };
    });
  }

  #models(items: readonly Item[]): Init<Model>[] {
    const pins = new Map(
      items.filter((item): item is ItemOf<"pin"> => item.kind === "pin").map((pin) => [pin.name, pin]),
    );
    const served = new Map<string, Init<Node>[]>([...pins.keys()].map((name) => [name, []]));
    for (const node of this.#nodes(new Map(), false)) {
      if (node.role === "router" || node.status === "left") continue;
      for (const model of node.models ?? []) {
        const nodes = served.get(model);
        if (nodes === undefined) served.set(model, [node]);
        else nodes.push(node);
      }
    }
    const view = new ServingView(items);
    return [...served]
      .toSorted(([a], [b]) => (a < b ? -1 : 1))
      .map(([id, at]): Init<Model> => {
        const pin = pins.get(id);
        // Of several endpoints those count that serve this model.
        const targetOf = ({ targets = [] }: Init<Node>): Init<Target> | undefined => {
          const serving = targets.filter(({ models = [] }) => models.includes(id));
          return serving.find(({ routable }) => routable) ?? serving[0];
        };
        const able = at.filter((node) => targetOf(node)?.routable ?? node.status === "alive");
        const serving = view.serving(
          id,
          able.map((node) => ({ id: node.id ?? "", labels: node.labels as Record<string, string> })),
        );
        const nodes = at.map((of): Init<ModelNode> => {
          const { id: node = "", status } = of;
          const modelState = briefly(this.#modelState(node, id));
          return { id: node, state: targetOf(of)?.state ?? status, routable: serving.has(node), modelState };
        });
        const routableNodes = nodes.filter(({ routable }) => routable).length;
        const wanted = pin?.spec.minReplicas ?? pin?.spec.nodes?.length ?? 0;
        return {
          id,
          nodes,
          routableNodes,
          missingReplicas: Math.max(0, wanted - routableNodes),
          pin: pin === undefined ? undefined : policyMessage(pin),
        };
      });
  }

  /** One by protobuf.js has the same names as ours. */
  #state(id: string): Init<NodeState> | undefined {
    return this.#options.state(id);
  }

  #modelState(node: string, model: string): Init<ModelNode>["modelState"] {
    const state = this.#state(node);
    return state?.models?.find(({ labels }) => labels?.model === model);
  }
}

function said(field: string, value: string, expected: string): void {
  if (value === "") throw new MeshError("bad_request", `${field} is missing; expected ${expected}`, { param: field });
}

export function unknown(what: string, name: string, names: readonly string[]): MeshError {
  const hint = didYouMean(name, names);
  const shown = JSON.stringify(name.slice(0, 128));
  return new MeshError("not_found", `there is no ${what} ${shown} here${hint === "" ? "" : `; ${hint}`}`);
}

/** Whether a policy decides about requests for this model. */
function isAbout({ kind, name }: Item, model: string): boolean {
  switch (kind) {
    case "node":
      return false;
    case "pin":
    case "scaling":
      return name === model;
    case "acl":
      return [model, "*"].includes(name.slice(name.indexOf("/") + 1, name.lastIndexOf("/")));
    default:
      return name === model || name === "*" || name.endsWith(`/${model}`) || name.endsWith("/*");
  }
}
