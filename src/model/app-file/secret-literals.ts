/** Forms that only secrets have: what looks like one of these must not stand in a repository. */
const forms: [RegExp, string][] = [
  [/-----BEGIN [A-Z ]*PRIVATE KEY/, "a private key"],
  [/\b(?:AKIA|ASIA)[0-9A-Z]{16}\b/, "an AWS key"],
  [/\bgh[pousr]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{40,}/, "a GitHub token"],
  [/\bglpat-[\w-]{20,}/, "a GitLab token"],
  [/\b[sr]k_(?:live|test)_[0-9A-Za-z]{16,}/, "a Stripe key"],
  [/\bxox[abeprs]-[0-9A-Za-z-]{10,}/, "a Slack token"],
  [/\bSG\.[\w-]{16,}\.[\w-]{16,}/, "a SendGrid key"],
  [/\bAIza[\w-]{35}/, "a Google key"],
  [/\bnpm_[A-Za-z0-9]{36}\b/, "an npm token"],
  [/\bsk-(?:ant-|proj-)?[A-Za-z0-9_-]{32,}/, "an API key"],
  [/\bzyp_[0-9A-Za-z]{10}_[0-9A-Za-z]{40,}/, "a Zyndra token"],
];

/** What kind of secret a text holds, by its form; undefined where it looks like none. */
export function secretIn(text: string): string | undefined {
  return forms.find(([form]) => form.test(text))?.[1];
}
