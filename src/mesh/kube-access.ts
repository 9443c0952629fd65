/**
 * How the API server of Kubernetes is reached: as the service account of the pod, or by a kubeconfig file. Tokens and
 * certificates are read from their files for each request, since both are renewed under their names; a request is made
 * every minute or two.
 *
 * Limits: 1 MiB a file, 16 KiB a token.
 */
import { readFile, stat } from "node:fs/promises";
import { readFileSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { MeshError } from "../base/errors.ts";
import { formatAddress } from "../base/units.ts";
import { accessIn, type ClusterAccess, type Material } from "../kube/kubeconfig.ts";
import type { DiscoverConfig } from "../kube/settings.ts";
import { codeOf } from "../net/crash.ts";

export type AccessConfig = Pick<DiscoverConfig, "kubeconfig" | "context" | "serviceAccount">;

/** What one request needs. */
export interface ApiAccess {
  readonly server: string;
  /** "" for none. */
  readonly token: string;
  readonly tls: {
    readonly rejectUnauthorized: boolean;
    readonly ca?: string;
    readonly cert?: string;
    readonly key?: string;
    readonly serverName?: string;
  };
}

const FILE_BYTES_MAX = 2 ** 20;
const TOKEN_CHARACTERS_MAX = 16_384;
const TOKEN = /^[\x21-\x7e]+$/;

export class KubeAccess {
  readonly #config: AccessConfig;
  readonly #env: NodeJS.ProcessEnv;
  /** In which files with relative names lie. */
  readonly #folder: string;

  /** Throws a MeshError where it can't be known how the API server is reached. */
  constructor(config: AccessConfig, env: NodeJS.ProcessEnv = process.env) {
    this.#config = config;
    this.#env = env;
    this.#folder = config.kubeconfig === "" ? config.serviceAccount : dirname(resolve(config.kubeconfig));
    const access = this.#cluster();
    if (typeof access === "string") throw new MeshError("config_invalid", access);
  }

  /** The API server, as people know it. */
  get server(): string {
    const access = this.#cluster();
    return typeof access === "string" ? "" : access.server;
  }

  /** As it is now; why not, in words. */
  async current(): Promise<ApiAccess | string> {
    const access = this.#cluster();
    if (typeof access === "string") return access;
    try {
      const { server, verify, serverName } = access;
      const [ca, cert, key, token] = [
        await this.#text(access.ca),
        await this.#text(access.certificate),
        await this.#text(access.key),
        (await this.#text(access.token)).trim(),
      ];
      if (token !== "" && !(TOKEN.test(token) && token.length <= TOKEN_CHARACTERS_MAX)) {
        return "the token is none that can be sent";
      }
      if (access.token !== undefined && token === "") return "the token is empty";
      const tls = {
        rejectUnauthorized: verify,
        ...(ca === "" ? {} : { ca }),
        ...(cert === "" ? {} : { cert, key }),
        ...(serverName === "" ? {} : { serverName }),
      };
      return { server, token, tls };
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }

  #cluster(): ClusterAccess | string {
    return this.#config.kubeconfig === "" ? this.#ownCluster() : this.#configured();
  }

  #ownCluster(): ClusterAccess | string {
    const host = this.#env["KUBERNETES_SERVICE_HOST"] ?? "";
    const port = Number(this.#env["KUBERNETES_SERVICE_PORT_HTTPS"] ?? this.#env["KUBERNETES_SERVICE_PORT"] ?? 443);
    if (host === "" || !Number.isInteger(port) || port < 1 || port > 65_535) {
      return "--discover k8s://: this is no pod of Kubernetes (KUBERNETES_SERVICE_HOST is not set); name a kubeconfig file by --discover-kubeconfig";
    }
    return {
      server: `https://${formatAddress({ host, port })}`,
      ca: { file: "ca.crt" },
      verify: true,
      serverName: "",
      token: { file: "token" },
      certificate: undefined,
      key: undefined,
    };
  }

  #configured(): ClusterAccess | string {
    const { kubeconfig, context } = this.#config;
    let access: ClusterAccess | string;
    try {
      const text = readFileSync(kubeconfig, "utf8");
      if (text.length > FILE_BYTES_MAX)
        return `--discover-kubeconfig ${kubeconfig}: it has more than ${FILE_BYTES_MAX} bytes`;
      access = accessIn(Bun.YAML.parse(text), context);
    } catch (error) {
      access = codeOf(error) === "ENOENT" ? "there is no such file" : (error as Error).message;
    }
    return typeof access === "string" ? `--discover-kubeconfig ${kubeconfig}: ${access}` : access;
  }

  async #text(material: Material | undefined): Promise<string> {
    if (material === undefined) return "";
    if ("text" in material) return material.text;
    const path = resolve(this.#folder, material.file);
    try {
      const { size } = await stat(path);
      if (size > FILE_BYTES_MAX) throw new Error(`it has ${size} bytes`);
      return await readFile(path, "utf8");
    } catch (error) {
      const isMissing = codeOf(error) === "ENOENT";
      const why = isMissing ? "there is no such file" : (error as Error).message;
      const hint =
        isMissing && this.#config.kubeconfig === ""
          ? "; is automountServiceAccountToken off, or --discover-service-account another directory?"
          : "";
      throw new Error(`${path} can't be read: ${why}${hint}`, { cause: error });
    }
  }
}
