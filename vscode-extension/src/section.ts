/** The section `dgLsp` of the settings as data. */

export const SECTION = "dgLsp";

/** Groups of settings that only the extension uses. */
const OWN = new Set(["server", "drafts", "doubt"]);

/** The section without the groups that the server would report as unknown. */
export function withoutOwn(section: unknown): unknown {
  if (typeof section !== "object" || section === null || Array.isArray(section)) {
    return section;
  }
  return Object.fromEntries(Object.entries(section).filter(([name]) => !OWN.has(name)));
}
