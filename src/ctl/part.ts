/** A command without its help; loads nothing, so that the help of all commands can be had without their code. */
import type { Section } from "../base/settings.ts";
import type { Command } from "./command.ts";

export type Part = Pick<Command<Section>, "settings" | "run" | "operand">;

/** Settings differ from command to command; whoever runs one needs to know only that they fit it. */
export function part<S extends Section>(of: Pick<Command<S>, "settings" | "run" | "operand">): Part {
  return of;
}
