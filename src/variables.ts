/** Every variable that some command knows: agents, routers and tools may share an environment. */
import { settingsOf } from "./base/settings-reading.ts";
import { agentSettings, devSettings, routerSettings } from "./config.ts";
import { agentStatusSettings, agentStopSettings, membersSettings } from "./ctl/settings.ts";
import { diagnosisSettings } from "./diagnosis/settings.ts";
import { benchSettings } from "./gpu/bench-settings.ts";
import { loadSettings } from "./load/settings.ts";
import { inspectStoreSettings } from "./store/inspect-settings.ts";

export function variables(): ReadonlySet<string> {
  const roles = [agentSettings, routerSettings, devSettings];
  const tools = [agentStopSettings, agentStatusSettings, inspectStoreSettings, benchSettings, diagnosisSettings];
  const all = [...roles, membersSettings, ...tools, loadSettings];
  return new Set(all.flatMap((settings) => settingsOf(settings).map(({ variable }) => variable)));
}
