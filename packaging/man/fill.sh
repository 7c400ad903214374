#!/usr/bin/env bash
# Fills a manual page: its prose stands in PAGE.in, the options, commands and keys are those that the program itself has
# in its --help, so that no page can lag behind. To standard output.
#
#   fill.sh PROGRAM PAGE.in VERSION
#
# Lines of PAGE.in that stand for something: "@options", "@commands" (with all that is below them) and "@keys" (of the
# configuration, by their names in the file). "@version@" is replaced anywhere.
set -euo pipefail

program=$1
page=$2
version=$3
here=$(dirname "${BASH_SOURCE[0]}")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

help_of() { "$program" "$@" --help; }

options() { help_of "$@" | awk -f "$here/options.awk"; }

# The commands below "$@", one a line.
commands_below() { help_of "$@" | awk '/^Subcommands:/ {on = 1; next} /^[^ ]/ {on = 0} on && /^  [^ ]/ {print $1}'; }

# Each command with its options, depth first.
commands() {
  local name
  for name in $(commands_below "$@"); do
    if [[ -n $(commands_below "$@" "$name") ]]; then
      commands "$@" "$name"
    else
      printf '.SS %s\n' "$(basename "$program") $* $name" | sed 's/  */ /g'
      help_of "$@" "$name" | awk -v describe=1 -f "$here/options.awk"
    fi
  done
}

# The keys as they are in the file, from what the program prints as its configuration in force.
keys() {
  "$program" --check-config --store-path "$folder/store" --listen-check "unix:$folder/c" --listen-admin "unix:$folder/a" |
    awk '/^[^ ].*:$/ {section = substr($1, 1, length($1) - 1) "."; next} /^[^ ]/ {section = ""}
         {name = $1; sub(/:$/, "", name); print section name}' >"$folder/keys"
  help_of | awk -v keys="$folder/keys" -f "$here/options.awk"
}

while IFS= read -r line; do
  case $line in
    @options) options ;;
    @commands) commands ;;
    @keys) keys ;;
    *) printf '%s\n' "${line//@version@/$version}" ;;
  esac
done <"$page"
