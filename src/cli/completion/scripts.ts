export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/** How completion is switched on, in each shell. */
export const howToInstall: Record<Shell, string[]> = {
  bash: ["zyndra completion bash > ~/.zyndra-completion.bash", "echo 'source ~/.zyndra-completion.bash' >> ~/.bashrc"],
  zsh: [
    "mkdir -p ~/.zsh && zyndra completion zsh > ~/.zsh/_zyndra",
    "in ~/.zshrc, before compinit is called: fpath=(~/.zsh $fpath); without compinit: autoload -U compinit && compinit",
  ],
  fish: ["zyndra completion fish > ~/.config/fish/completions/zyndra.fish"],
};

/** The script for a shell: small, since all that it knows it asks the program for. */
export function scriptFor(shell: Shell): string {
  const lines = howToInstall[shell].map((line) => `#   ${line}`);
  const head = ["# Completion of zyndra's words. To have it in each shell:", "#", ...lines, ""];
  // zsh reads its mark on the first line only.
  return [...(shell === "zsh" ? ["#compdef zyndra"] : []), ...head, scripts[shell]].join("\n");
}

/*
 * bash takes words apart at `:` and `=`, too, and puts what it is answered in place of the last part only: of `ps:scale`
 * behind `ps:` it is to be told `scale`. So the words are taken from the line itself, and what stands is cut off the answers.
 * Written for the bash 3.2 of macOS, which knows neither mapfile nor compopt.
 */
const bash = `_zyndra() {
  local line="\${COMP_LINE:0:COMP_POINT}" begun="" standing="" each
  local -a typed
  read -ra typed <<<"$line"
  case "$line" in
    *[[:space:]]) typed+=("") ;;
    *) begun="\${typed[\${#typed[@]}-1]}" ;;
  esac
  for each in : =; do
    case "$COMP_WORDBREAKS" in *"$each"*) each="\${begun%"\${begun##*"$each"}"}" ;; *) each="" ;; esac
    [ \${#each} -gt \${#standing} ] && standing="$each"
  done
  COMPREPLY=()
  while IFS= read -r each; do
    COMPREPLY+=("\${each#"$standing"}")
    case "$each" in *[=/]) type compopt >/dev/null 2>&1 && compopt -o nospace 2>/dev/null ;; esac
  done < <(zyndra completion:candidates bash -- "\${typed[@]:1}" 2>/dev/null)
}
complete -F _zyndra zyndra
`;

const zsh = `_zyndra() {
  local each
  local -a words_spaced words_open
  while IFS= read -r each; do
    case $each in
      s*) words_spaced+=("\${each#s}") ;;
      o*) words_open+=("\${each#o}") ;;
    esac
  done < <(zyndra completion:candidates zsh -- "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2>/dev/null)
  (( \${#words_spaced} )) && _describe -V zyndra words_spaced
  (( \${#words_open} )) && _describe -V zyndra words_open -S ''
}
if [ "$funcstack[1]" = "_zyndra" ]; then
  _zyndra "$@"
elif (( $+functions[compdef] )); then
  compdef _zyndra zyndra
fi
`;

const fish = `function __zyndra_candidates
  set -l typed (commandline -opc)
  zyndra completion:candidates fish -- $typed[2..-1] (commandline -ct) 2>/dev/null
end
complete -c zyndra -f -a '(__zyndra_candidates)'
`;

const scripts: Record<Shell, string> = { bash, zsh, fish };
