/** What a member of an org may do, from least to most. */
export const roles = ["viewer", "developer", "admin", "owner"] as const;
export type Role = (typeof roles)[number];

/** Through which door someone asks. */
export type DoorName = "cli" | "git" | "http" | "slack" | "github" | "platform";

/** Who asks: a person of an org, with the role the database gives them at this moment. */
export type Actor = {
  userId: string;
  /** Shown to others: "deploy #41 (ana)". */
  name: string;
  orgId: string;
  role: Role;
  door: DoorName;
  /** The token that was shown, if one was. */
  tokenId?: string;
};

/** Whether a role is enough for what needs at least `needed`. */
export function mayAct(role: Role, needed: Role): boolean {
  return roles.indexOf(role) >= roles.indexOf(needed);
}
