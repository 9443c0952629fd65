/** The suite that every engine passes, against the embedded one: alone, as three control nodes, and by followers. */
import { Cluster, until } from "./cluster.ts";
import { type Opened, storeSuite } from "./store-suite.ts";

async function opened(voters: number, follows: boolean): Promise<Opened> {
  const cluster = new Cluster();
  const nodes = await cluster.form(voters);
  const stores = nodes.map(({ host }) => host);
  if (follows) {
    const { host } = await cluster.open("f1", "off");
    const second = await cluster.open("f2", "off");
    await until(async () => (await host.status()).writable && (await second.host.status()).writable, "the followers");
    stores.splice(0, stores.length, host, second.host);
  }
  const [store, ...others] = stores;
  return { store: store!, others, stop: () => cluster.end() };
}

storeSuite("one control node", () => opened(1, false));
storeSuite("three control nodes", () => opened(3, false));
storeSuite("followers of three control nodes", () => opened(3, true));
