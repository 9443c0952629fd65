/** The store in etcd that a node's settings name. Loaded only where they name one: gRPC's library comes with it. */
import { MeshError } from "../base/errors.ts";
import { clientOptions } from "../net/tls-settings.ts";
import { parseEtcdAddress } from "./etcd-address.ts";
import { EtcdStore, type EtcdStoreOptions } from "./etcd-store.ts";
import type { ControlConfig } from "./settings.ts";

/**
 * Begins to follow etcd and waits for nothing: a node starts without it, with no policies until they come (`ready`).
 * `mesh` is whose policies they are, where the address names no cluster. Throws a MeshError that names the setting at
 * fault.
 */
export function openEtcdStore(
  config: Pick<ControlConfig, "store" | "caFile" | "certFile" | "keyFile">,
  mesh: string,
  log: EtcdStoreOptions["log"],
): EtcdStore {
  const address = parseEtcdAddress(config.store);
  if (typeof address === "string") throw new MeshError("config_invalid", `control.store: the address ${address}`);
  const files = { ca: config.caFile, cert: config.certFile, key: config.keyFile, verify: true };
  const paths = { ca: "control.caFile", cert: "control.certFile", key: "control.keyFile" };
  const tls = address.tls ? clientOptions(files, paths) : { verify: true };
  return new EtcdStore({ address, tls, cluster: mesh, log });
}
