/** The section `dgLsp` of the settings as data. */

export const SECTION = "dgLsp";

/** Groups that are this extension's alone. */
const OWN = new Set(["server", "drafts"]);

/** The section without what the server would call unknown. */
export function withoutOwn(section: unknown): unknown {
  if (typeof section !== "object" || section === null || Array.isArray(section)) {
    return section;
  }
  return Object.fromEntries(Object.entries(section).filter(([name]) => !OWN.has(name)));
}
